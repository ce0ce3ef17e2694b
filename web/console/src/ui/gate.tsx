// A gate as a drawbridge, in a card.
export function GatePicture({ open, from, to }: { open: boolean; from: string; to: string }) {
  return (
    <svg class={open ? "gate-picture bridge open" : "gate-picture bridge shut"} viewBox="0 0 280 76" role="img" aria-label={`The gate from ${from} to ${to} is ${open ? "open" : "shut"}`}>
      <path class="bank" d="M4 60H92M188 60H276" />
      <path class="water" d="M98 70q7-5 14 0t14 0 14 0 14 0 14 0 14 0" />
      <path class="tower" d="M92 62V22M188 62V22" />
      <g transform="translate(92 58)">
        <g class="deck" style={{ transform: `rotate(${open ? 0 : -62}deg)` }}><path d="M0 0H92" /></g>
      </g>
      <circle class="hinge" cx="92" cy="58" r="4.5" />
      <text x="48" y="50" text-anchor="middle">{from.length > 11 ? from.slice(0, 10) + "…" : from}</text>
      <text x="232" y="50" text-anchor="middle">{to.length > 11 ? to.slice(0, 10) + "…" : to}</text>
      <text class="gate-word" x="140" y="16" text-anchor="middle">{open ? "open" : "shut"}</text>
    </svg>
  );
}
