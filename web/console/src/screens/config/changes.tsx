import { read } from "../../api";
import { useAnswer } from "../../answer";
import { useFeed } from "../../live";
import { setQuery, usePlace } from "../../route";
import { Card, Loading } from "../../ui/parts";
import { Difference } from "./diff";
import { NoVersion } from "./empty";
import { Pick } from "./pick";

/** Changes compares any two versions. */
export function Changes() {
  const versions = useFeed("/config/versions").data?.versions ?? [];
  const { query } = usePlace();
  const from = query.get("from") ?? "", to = query.get("to") ?? "";
  const d = useAnswer(() => read("/config/diff", { from, to }), `${from}..${to}`);
  if (!d.data) return d.refused?.includes("0") && versions.length === 0 ? <NoVersion /> : <Loading refused={d.refused} />;
  return (
    <>
      <div class="bar">
        <Pick label="From" versions={versions} value={String(d.data.from)} choose={(v) => setQuery({ from: v, to: String(d.data!.to) })} />
        <Pick label="To" versions={versions} value={String(d.data.to)} choose={(v) => setQuery({ from: String(d.data!.from), to: v })} />
        <button type="button" onClick={() => setQuery({ from: String(d.data!.to), to: String(d.data!.from) })}>Swap</button>
      </div>
      <Card title={`From version ${d.data.from} to version ${d.data.to}`}>
        <Difference changes={d.data.changes} unified={d.data.unified} none="They say the same." />
      </Card>
    </>
  );
}
