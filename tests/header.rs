//! Guards that include/holdall.h says what src/ffi says, and what docs/ quote from the code.

use std::path::Path;

fn rendered() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut header = Vec::new();
    let mut builder = cbindgen::Builder::new().with_config(config);
    // In the order of use, which is the order of the manual.
    for file in ["status", "bytes", "manager", "session", "commit"] {
        builder = builder.with_src(root.join(format!("src/ffi/{file}.rs")));
    }
    builder.generate().expect("src/ffi renders").write(&mut header);
    String::from_utf8(header).expect("utf-8")
}

#[test]
fn the_committed_header_is_the_one_the_source_renders() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/holdall.h");
    let rendered = rendered();
    if std::env::var_os("HOLDALL_UPDATE_HEADER").is_some() {
        std::fs::write(&path, &rendered).expect("include/ can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == rendered, "include/holdall.h is stale; `make header` writes it anew");
}
