import { qr } from "../qr";

const quiet = 4; // modules of margin, ISO/IEC 18004 §6.3.8

/** Qr is black on white in every theme: readers of phones want it so. */
export function Qr({ text, label }: { text: string; label: string }) {
  const g = qr(text), size = g.length + 2 * quiet;
  const path = g.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x + quiet} ${y + quiet}h1v1h-1z`] : []))).join("");
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={size} height={size} />
      <path d={path} />
    </svg>
  );
}
