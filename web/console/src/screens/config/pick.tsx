import type { ConfigVersion } from "../../api";
import { dot } from "../../format";

/** Pick chooses one of the versions. */
export function Pick({ label, versions, value, choose }: { label: string; versions: ConfigVersion[]; value: string; choose: (v: string) => void }) {
  const known = versions.some((v) => String(v.version) === value);
  return (
    <label class="pick">
      <span>{label}</span>
      <select value={value} onChange={(e) => choose(e.currentTarget.value)}>
        {!known && <option value={value}>{value}</option>}
        {versions.map((v) => <option key={v.version} value={String(v.version)}>{v.version}{v.comment && dot + short(v.comment)}</option>)}
      </select>
    </label>
  );
}

const most = 40;

const short = (s: string): string => (s.length > most ? s.slice(0, most - 1) + "…" : s);
