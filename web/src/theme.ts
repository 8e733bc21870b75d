// SPDX-License-Identifier: Apache-2.0
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const teal: MantineColorsTuple = [
  "#e9f6f7",
  "#d3ebed",
  "#a5d7db",
  "#73c2c8",
  "#4ab0b8",
  "#2c9fa8",
  "#17808b",
  "#0b6470",
  "#08525c",
  "#053f47",
];

// Mantine's dark greys, with the hue of the page.
const slate: MantineColorsTuple = [
  "#d5dce2",
  "#bcc6ce",
  "#9caab5",
  "#7b8a96",
  "#4a5762",
  "#37434d",
  "#232d35",
  "#182027",
  "#131a20",
  "#0e1419",
];

export const theme = createTheme({
  primaryColor: "deep",
  primaryShade: { light: 7, dark: 6 },
  colors: { deep: teal, dark: slate },
  defaultRadius: "md",
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "650",
    sizes: { h1: { fontSize: "1.35rem" }, h2: { fontSize: "1.05rem" }, h3: { fontSize: "0.95rem" } },
  },
  autoContrast: true,
});
