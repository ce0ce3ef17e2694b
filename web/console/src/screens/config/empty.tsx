import { may, whyNot } from "../../session";
import { Empty } from "../../ui/parts";

/** NoVersion is there until somebody has configured something. */
export function NoVersion() {
  return (
    <Empty icon="config" title="Nothing was configured yet">
      <p>The defaults hold. The first change makes version 1.</p>
      <p>{may("admin") ? <a href="/config">Make a change</a> : `${whyNot("admin")}.`}</p>
    </Empty>
  );
}
