// The API of the node that served this page. Paths are those of the OpenAPI document: others do not compile.
import type { Changes, Downloads, Reads } from "./api.gen";

export type * from "./api.gen";

const base = "/api/v1";

/** What the API refused, and why, in words for people (RFC 9457). */
export class Refusal extends Error {
  constructor(readonly status: number, detail: string, readonly type = "") {
    super(detail);
  }
}

type Query = Record<string, string | number | boolean | undefined>;

export function address(path: keyof Reads | Downloads, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== "") q.set(k, String(v));
  const text = q.toString();
  return base + path + (text ? "?" + text : "");
}

let unauthorised = () => {};

/** onUnauthorised is told when the API wants to know who is asking. */
export function onUnauthorised(tell: () => void): void {
  unauthorised = tell;
}

/** refusalOf reads the problem document of an answer. */
export async function refusalOf(answer: Response): Promise<Refusal> {
  if (answer.status === 401) unauthorised();
  try {
    const problem = await answer.json();
    return new Refusal(answer.status, problem.detail || problem.title || answer.statusText, problem.type);
  } catch {
    return new Refusal(answer.status, `the node answered ${answer.status} ${answer.statusText}`);
  }
}

export async function read<P extends keyof Reads>(path: P, query?: Query): Promise<Reads[P]> {
  const answer = await fetch(address(path, query), { headers: { Accept: "application/json" } });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}

/** change does something. Parts of the path in braces are taken from names. */
export async function change<C extends keyof Changes>(
  what: C, body: Changes[C]["takes"], names: Record<string, string> = {},
): Promise<Changes[C]["gives"]> {
  const [method, pattern] = what.split(" ") as [string, string];
  const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
  const answer = await fetch(base + path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.status === 204 ? (undefined as Changes[C]["gives"]) : answer.json();
}

/** said turns whatever was thrown into a sentence. */
export function said(err: unknown): string {
  if (err instanceof Refusal) return err.message;
  if (err instanceof TypeError) return "the node does not answer; the change may or may not have been made";
  return err instanceof Error ? err.message : String(err);
}
