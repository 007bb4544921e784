// The style sheet and the icon: in the program, so that it runs from anywhere.

#pragma once

#include <string_view>

inline constexpr std::string_view style_css = R"css(
:root {
  color-scheme: light dark;
  --ground: #f5f3ee;
  --card: #fffefb;
  --line: #e2ddd2;
  --text: #23261f;
  --muted: #62665b;
  --field: #8a8d80;
  --accent: #2c6a4c;
  --accent-strong: #1f5039;
  --on-accent: #ffffff;
  --tint: #e6efe6;
  --bad: #9b2f22;
  --bad-tint: #f9e7e2;
  --shadow: 0 1px 2px rgb(40 36 24 / 6%), 0 8px 24px rgb(40 36 24 / 5%);
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  --serif: "Iowan Old Style", Charter, "Palatino Linotype", "Source Serif 4", "Noto Serif", "DejaVu Serif", Georgia, serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #151814;
    --card: #1d211c;
    --line: #333931;
    --text: #e9ece4;
    --muted: #a3aa9c;
  --field: #6f776a;
    --accent: #8fd0a8;
    --accent-strong: #b0e2c3;
    --on-accent: #10251a;
    --tint: #22332a;
    --bad: #f3a698;
    --bad-tint: #3a211d;
    --shadow: none;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; display: flex; flex-direction: column;
  background: var(--ground); color: var(--text);
  font: 1.0625rem/1.6 var(--sans);
}
h1, h2 { margin: 0; line-height: 1.2; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font: 600 clamp(1.9rem, 1.3rem + 2.6vw, 2.9rem)/1.15 var(--serif); letter-spacing: -0.015em; }
h2 { font-size: 1.15rem; font-weight: 650; }
p { margin: 0; }
a { color: var(--accent); text-underline-offset: 0.2em; }
a:hover { color: var(--accent-strong); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 6px; }

.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 0.6rem; z-index: 2; padding: 0.4rem 0.8rem; background: var(--card); border-radius: 8px; }

.bar { background: var(--card); border-bottom: 1px solid var(--line); }
.bar-in {
  max-width: 62rem; margin: 0 auto; padding: 0.7rem 1.25rem;
  display: flex; flex-wrap: wrap; align-items: center; gap: 0.4rem 1.5rem;
}
.brand {
  display: inline-flex; align-items: center; gap: 0.55rem;
  font: 600 1.3rem/1 var(--serif); color: var(--text); text-decoration: none;
}
.brand:hover { color: var(--text); }
nav { display: flex; gap: 0.25rem; }
nav a { padding: 0.4rem 0.75rem; border-radius: 999px; text-decoration: none; color: var(--muted); white-space: nowrap; }
nav a:hover { color: var(--text); background: var(--ground); }
nav a[aria-current] { color: var(--accent-strong); background: var(--tint); font-weight: 600; }
.who { margin-left: auto; display: flex; align-items: center; gap: 0.75rem; min-width: 0; }
.name { color: var(--muted); max-width: 14rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }

main { flex: 1; width: 100%; max-width: 62rem; margin: 0 auto; padding: 1.75rem 1.25rem 3rem; display: grid; gap: 1.5rem; align-content: start; grid-template-columns: minmax(0, 1fr); }
.hero { padding: 0.75rem 0 0.25rem; display: grid; gap: 0.6rem; }
.hero p { color: var(--muted); max-width: 38rem; }
.hero strong { color: var(--text); font-variant-numeric: tabular-nums; }
.columns { display: grid; gap: 1.5rem; align-items: start; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 48rem) { .columns { grid-template-columns: minmax(0, 5fr) minmax(0, 3fr); } }

.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 16px; box-shadow: var(--shadow);
  padding: 1.4rem; display: grid; gap: 1.1rem; grid-template-columns: minmax(0, 1fr);
}
.card p { color: var(--muted); overflow-wrap: anywhere; }
.card p strong { color: var(--text); }
.card h2 { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; }
.count { font-size: 0.9rem; font-weight: 500; color: var(--muted); font-variant-numeric: tabular-nums; }

form { display: grid; gap: 0.5rem; }
label { font-size: 0.95rem; font-weight: 600; }
input[type="text"] {
  width: 100%; min-width: 0; padding: 0.65rem 0.85rem; border: 1px solid var(--field); border-radius: 10px;
  background: var(--ground); color: inherit; font: inherit;
}
input::placeholder { color: var(--muted); opacity: 0.85; }
input[type="text"]:focus-visible { outline-offset: 0; border-color: var(--accent); border-radius: 10px; }
.pair { display: flex; gap: 0.6rem; }
button, .button {
  display: inline-block; padding: 0.65rem 1.2rem; border: 1px solid transparent; border-radius: 10px; cursor: pointer;
  background: var(--accent); color: var(--on-accent); font: 600 1rem/1.5 var(--sans); text-decoration: none; white-space: nowrap;
}
button:hover, .button:hover { background: var(--accent-strong); color: var(--on-accent); }
button:focus-visible, .button:focus-visible { border-radius: 10px; }
.wide { margin-top: 0.4rem; }
.quiet { padding: 0.3rem 0.75rem; border-color: var(--line); background: transparent; color: var(--muted); font-size: 0.92rem; font-weight: 550; }
.quiet:hover { border-color: var(--muted); background: transparent; color: var(--text); }

.cart { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--line); }
.cart li { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: 0.7rem 0; border-bottom: 1px solid var(--line); }
.cart li:last-child { border-bottom: 0; padding-bottom: 0; }
.item { overflow-wrap: anywhere; min-width: 0; }
.empty { padding: 1.4rem 1rem; border: 1px dashed var(--line); border-radius: 12px; text-align: center; }

.flash {
  padding: 0.8rem 1.1rem; border-radius: 12px; border-left: 4px solid var(--accent);
  background: var(--tint); color: var(--text); overflow-wrap: anywhere;
}
.flash.bad { border-color: var(--bad); background: var(--bad-tint); }

pre {
  margin: 0; padding: 1rem 1.15rem; overflow-x: auto; border-radius: 10px; border: 1px solid var(--line);
  background: var(--ground); font: 0.92rem/1.6 var(--mono); tab-size: 2;
}
summary { cursor: pointer; font-weight: 650; }
details:not([open]) { gap: 0; }
details[open] summary { margin-bottom: 0.6rem; }
.foot { padding: 1.25rem; border-top: 1px solid var(--line); text-align: center; color: var(--muted); font-size: 0.9rem; }
@media (max-width: 30rem) {
  .bar-in { padding-inline: 1rem; gap: 0.4rem 0.75rem; }
  nav { order: 3; width: 100%; }
  nav a { flex: 1; text-align: center; }
  main { padding-inline: 1rem; }
  .card { padding: 1.15rem; }
  .name { max-width: 8rem; }
}
@media (prefers-reduced-motion: no-preference) {
  button, .button, nav a { transition: background-color 120ms, color 120ms, border-color 120ms; }
  .flash { animation: arrive 240ms ease-out; }
  @keyframes arrive { from { opacity: 0; transform: translateY(-0.4rem); } }
}
)css";

inline constexpr std::string_view icon_svg = R"svg(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<path d="M11 13V10a5 5 0 0 1 10 0v3" fill="none" stroke="#c98a3c" stroke-width="2.4" stroke-linecap="round"/>
<rect x="3" y="12" width="26" height="15" rx="6" fill="#2c6a4c"/>
<path d="M3.5 17.5h25" stroke="#f5f3ee" stroke-opacity=".55" stroke-width="1.4" stroke-dasharray="2.4 1.8"/>
<rect x="14" y="15.4" width="4" height="4.4" rx="1.2" fill="#c98a3c"/>
</svg>
)svg";
