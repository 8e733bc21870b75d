// SPDX-License-Identifier: Apache-2.0

package chart

// Style is the CSS that a page with figures includes once.
const Style = `
:root{--fc-1:#2563eb;--fc-2:#d97706;--fc-3:#0d9488;--fc-4:#be185d;--fc-5:#7c3aed;--fc-6:#64748b}
@media (prefers-color-scheme:dark){:root{--fc-1:#7aa2ff;--fc-2:#f5b351;--fc-3:#4fd1c5;--fc-4:#f472b6;--fc-5:#b79bff;--fc-6:#a3b1c6}}
@media print{:root{--fc-1:#2563eb;--fc-2:#d97706;--fc-3:#0d9488;--fc-4:#be185d;--fc-5:#7c3aed;--fc-6:#64748b}}
svg.fc{display:block;width:100%;height:auto;overflow:visible}
.fc text{fill:currentColor;font:12.5px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.fc .t,.fc .a{fill-opacity:.72}.fc .a{font-size:12px}.fc .v{font-variant-numeric:tabular-nums}
.fc .e{text-anchor:end}.fc .c{text-anchor:middle}
.fc .g{stroke:currentColor;stroke-opacity:.14}.fc .x{stroke:currentColor;stroke-opacity:.5}
.fc .r{stroke:currentColor;stroke-opacity:.55;stroke-dasharray:5 4}.fc .f{opacity:.45}
.fc .s1{--c:var(--fc-1)}.fc .s2{--c:var(--fc-2)}.fc .s3{--c:var(--fc-3)}.fc .s4{--c:var(--fc-4)}.fc .s5{--c:var(--fc-5)}.fc .s6{--c:var(--fc-6)}
.fc .b{fill:var(--c)}.fc .o{fill:var(--c);fill-opacity:.5;stroke:var(--c)}.fc .p{fill:var(--c);fill-opacity:.75;stroke:var(--c)}
.fc .l{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}.fc .i{stroke:var(--c);stroke-width:1.6}
.fc .u{fill:var(--c);fill-opacity:.12}
@media (max-width:32rem){.fc text{font-size:14px}.fc .a{font-size:13.5px}}
`

const seriesColours = 6 // then they begin again
