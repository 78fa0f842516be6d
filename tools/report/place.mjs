// Where things stand along a horizontal axis of powers of ten. Also part of the page.

// The powers of ten that all points lie between.
export function decades(panel) {
  const values = panel.series.flatMap((line) => line.points.map((point) => Math.log10(point.x)));
  const low = Math.floor(Math.min(...values)), high = Math.ceil(Math.max(...values));
  return [low, Math.max(high, low + 1)];
}

// The axis' ends: a little outside of the decades, so that marks at their edges are whole.
export function horizontalEdges(low, high) {
  const margin = (high - low) * 0.06;
  return [10 ** (low - margin), 10 ** (high + margin)];
}
