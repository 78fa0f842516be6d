// Colours, dashes, markers and fills. Hues after Okabe and Ito, whom colour-blind readers can tell apart; every pair that meets
// in a chart differs by dash, marker or fill as well. Also part of the page.

export const SCHEMES = {
  light: { page: '#f4f5f7', surface: '#ffffff', text: '#1b2430', muted: '#566170', grid: '#e3e6ea', line: '#c9ced6' },
  dark: { page: '#0e1217', surface: '#171d25', text: '#e6eaf0', muted: '#a0abba', grid: '#2a323d', line: '#3d4754' },
};

export const STYLES = {
  overlay: { light: '#b8480a', dark: '#f0873f', dash: [7, 4], marker: 'square', fill: 'solid' },
  routed: { light: '#005493', dark: '#4aa3e6', dash: [], marker: 'circle', fill: 'solid' },
  local: { light: '#0a8a5f', dark: '#5ad6a0', dash: [2, 3], marker: 'triangle', fill: 'solid' },
  kernel: { light: '#707a86', dark: '#97a2b0', dash: [10, 3, 2, 3], marker: 'diamond', fill: 'solid' },
  gro: { light: '#707a86', dark: '#97a2b0', dash: [3, 3], marker: 'down', fill: 'hatch' },
  floor: { light: '#707a86', dark: '#97a2b0', dash: [], marker: 'diamond', fill: 'hatch' },
  path: { light: '#005493', dark: '#4aa3e6', dash: [], marker: 'circle', fill: 'solid' },
  io: { light: '#707a86', dark: '#97a2b0', dash: [], marker: 'diamond', fill: 'solid' },
  macswap: { light: '#00795a', dark: '#2fc197', dash: [], marker: 'triangle', fill: 'solid' },
  csum: { light: '#9c4f83', dark: '#e08cc0', dash: [], marker: 'down', fill: 'solid' },
  l3fwd: { light: '#8a6a00', dark: '#e6c229', dash: [], marker: 'cross', fill: 'solid' },
};

// An SVG path, which canvas understands too.
export function markerPath(shape, x, y, r) {
  switch (shape) {
    case 'square': return `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`;
    case 'triangle': return `M${x} ${y - 1.15 * r}L${x + 1.15 * r} ${y + r}L${x - 1.15 * r} ${y + r}z`;
    case 'down': return `M${x} ${y + 1.15 * r}L${x + 1.15 * r} ${y - r}L${x - 1.15 * r} ${y - r}z`;
    case 'diamond': return `M${x} ${y - 1.35 * r}L${x + 1.35 * r} ${y}L${x} ${y + 1.35 * r}L${x - 1.35 * r} ${y}z`;
    case 'cross': {
      const a = 1.1 * r, b = 0.4 * r;
      return `M${x - a} ${y - b}H${x - b}V${y - a}H${x + b}V${y - b}H${x + a}V${y + b}H${x + b}V${y + a}H${x - b}V${y + b}H${x - a}z`;
    }
    default: return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  }
}
