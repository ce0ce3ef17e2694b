// Who decides: without a majority of the voters no gateway may be active. The same words as `drawbridge voters`.
import type { Voter, Voters } from "./api";
import { duration, milliseconds, plural } from "./format";
import { useFeed } from "./live";
import { Card, State, type Tone } from "./ui/parts";

/** standing is the state of the group in one line. */
export function standing(v: Voters): { tone: Tone; text: string } {
  if (!v.here) return { tone: "idle", text: "this node does not vote: the voters know who leads and who answers" };
  if (!v.quorum) return { tone: "bad", text: "no majority answers: no gateway may be active" };
  if (v.spare === 0) return { tone: "warn", text: "a majority answers, and not one more voter may fall silent" };
  return { tone: "ok", text: `a majority answers, and ${plural(v.spare, "more voter")} may fall silent` };
}

function answer(v: Voters, o: Voter): { tone: Tone; text: string } {
  if (o.state === "learns") return { tone: "self", text: "is being added" };
  if (!v.here) return { tone: "idle", text: "not known here" };
  if (o.answers) return { tone: "ok", text: o.rtt_ms > 0 ? `answers in ${milliseconds(o.rtt_ms)}` : "answers" };
  return { tone: "bad", text: o.silent_s ? `silent for ${duration(o.silent_s * 1000)}` : "never answered" };
}

/** silent are the voters that should answer and do not. */
export const silent = (v: Voters | undefined): Voter[] => (v?.here ? v.voters.filter((o) => o.state === "votes" && !o.answers) : []);

export function WhoDecides() {
  const v = useFeed("/voters").data;
  if (!v) return null;
  const s = standing(v);
  return (
    <Card title="Who decides" aside={<span class="aside">voters of generation {v.generation}</span>}>
      <p class="wraps"><State tone={s.tone}>{s.text}</State></p>
      <ul class="steps voters">
        {v.voters.map((o) => (
          <li key={o.name}>
            <strong>{o.name}</strong>
            <span>{[o.gateway ? "gateway" : "witness", o.name === v.leader && "leads"].filter(Boolean).join(", ")}</span>
            <State tone={answer(v, o).tone}>{answer(v, o).text}</State>
          </li>
        ))}
      </ul>
    </Card>
  );
}
