// The bundle that this tab sends, for one appliance or for a roll-out, or has had fetched. It goes on whatever screen is looked at, and ends with the tab.
import { useEffect, useReducer } from "preact/hooks";
import { change, said, uploadLarge } from "./api";
import type { Operation } from "./api";
import { toast } from "./ui/toast";

/** Order is what an update is asked for with. */
export interface Order {
  peer: string;
  older: boolean;
  restart: boolean;
  by: string;
}

/** RollOrder is what a roll-out is asked for with. */
export interface RollOrder {
  peer: string[];
  older: boolean;
  want: string;
  by: string;
}

/** Sending is how far it is: bytes of bytes, then the operation of the peer, or why there is none. */
export interface Sending {
  name: string;
  peer: string; // that takes it
  rollOut?: boolean; // and sends it to others
  done: number;
  total: number;
  begun?: Operation;
  refused?: string;
}

let now: Sending | undefined;
let abort = new AbortController();
const watchers = new Set<() => void>();

function put(s: Sending | undefined): void {
  now = s;
  watchers.forEach((told) => told());
}

const underWay = () => now !== undefined && !now.begun && !now.refused;

/** stay asks before the tab is closed with half of a bundle sent. */
const stay = (e: BeforeUnloadEvent) => e.preventDefault();

/** sendBundle sends a file for one appliance, and answers at once. */
export function sendBundle(file: File, o: Order): void {
  sendFile(file, { name: file.name, peer: o.peer, done: 0, total: file.size }, async (told, signal) => {
    const begun = await uploadLarge("POST /update/bundle", file, { ...o }, told, signal);
    return { begun };
  });
}

/** sendRollOut sends a file to the node here, which sends it to the peers of a roll-out, and answers at once. */
export function sendRollOut(file: File, here: string, o: RollOrder): void {
  sendFile(file, { name: file.name, peer: here, rollOut: true, done: 0, total: file.size }, async (told, signal) => {
    await uploadLarge("POST /rollout/bundle", file, { ...o }, told, signal);
    toast("The roll-out has begun");
    return undefined;
  });
}

/** sendFile keeps the tab open while a file is sent, and shows what comes of it: nothing any more, if there is nothing to show. */
function sendFile(file: File, mine: Sending, send: (told: (done: number) => void, signal: AbortSignal) => Promise<Partial<Sending> | undefined>): void {
  if (underWay()) return;
  abort = new AbortController();
  const { signal } = abort;
  put(mine);
  addEventListener("beforeunload", stay);
  send((done) => put({ ...mine, done }), signal)
    .then((end) => put(end && { ...mine, done: file.size, ...end }), (err) => put(signal.aborted ? undefined : { ...mine, refused: said(err) }))
    .finally(() => removeEventListener("beforeunload", stay));
}

/** fetchBundle has the peer fetch it; it throws what the peer refuses. */
export async function fetchBundle(url: string, o: Order): Promise<void> {
  const begun = await change("POST /update/fetch", { url, ...o });
  put({ name: url, peer: o.peer, done: 0, total: 0, begun });
}

/** stopSending ends what is under way and forgets what has ended. Nothing was written by a bundle that has not arrived. */
export function stopSending(): void {
  abort.abort();
  put(undefined);
}

/** useSending is how far the bundle is, and whether it is still on its way. */
export function useSending(): [Sending | undefined, boolean] {
  const tick = useReducer((n: number, _: void) => n + 1, 0)[1] as () => void;
  useEffect(() => {
    watchers.add(tick);
    return () => void watchers.delete(tick);
  }, []);
  return [now, underWay()];
}
