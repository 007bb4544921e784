//! Link arguments of `libholdall.so`.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    // The soname is the ABI: it changes when a program built against the last header would break.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libholdall.so.1");
    // nodelete: the fork handler must outlive dlclose. relro and now: the function table is read-only when it runs.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete,-z,relro,-z,now");
}
