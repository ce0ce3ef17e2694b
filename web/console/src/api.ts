// The API of the node that served this page. Paths are those of the OpenAPI document: others do not compile.
import type { Changes, Downloads, ErrorDetail, Reads } from "./api.gen";

export type * from "./api.gen";

const base = "/api/v1";

/** What the API refused, and why, in words for people (RFC 9457). */
export class Refusal extends Error {
  constructor(readonly status: number, detail: string, readonly type = "", readonly parts: ErrorDetail[] = []) {
    super(detail);
  }
}

type Query = Record<string, string | number | boolean | string[] | undefined>;

export function address(path: keyof Reads | Downloads, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) {
    if (Array.isArray(v)) v.forEach((one) => q.append(k, one));
    else if (v !== undefined && v !== "") q.set(k, String(v));
  }
  const text = q.toString();
  return base + path + (text ? "?" + text : "");
}

/** inLog is a path as the audit log has it. People leave out what all have in common. */
export const inLog = (path: string): string => (path.startsWith("/api") ? path : base + (path.startsWith("/") ? path : "/" + path));

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
    return new Refusal(answer.status, problem.detail || problem.title || answer.statusText, problem.type, problem.errors ?? []);
  } catch {
    return new Refusal(answer.status, `the node answered ${answer.status} ${answer.statusText}`);
  }
}

export async function read<P extends keyof Reads>(path: P, query?: Query): Promise<Reads[P]> {
  const answer = await fetch(address(path, query), { headers: { Accept: "application/json" } });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}

/** readText is an answer in a form for people. */
export async function readText(path: keyof Reads, query?: Query): Promise<string> {
  const answer = await fetch(address(path, query));
  if (!answer.ok) throw await refusalOf(answer);
  return answer.text();
}

/** download is an answer that is a file, and what the node calls it. */
export const download = async (path: Downloads): Promise<{ file: Blob; name: string }> => fileOf(await fetch(address(path)));

async function fileOf(answer: Response): Promise<{ file: Blob; name: string }> {
  if (!answer.ok) throw await refusalOf(answer);
  const name = /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
  return { file: await answer.blob(), name: name ?? "drawbridge" };
}

type Names = Record<string, string | number>;

const keyHeader = "Idempotency-Key";

/** named puts names into a path for its parts in braces. */
const named = (pattern: string, names: Names): string => pattern.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));

/** readNamed reads what has a name in its path. */
export async function readNamed<P extends keyof Reads>(path: P, names: Names): Promise<Reads[P]> {
  const answer = await fetch(base + named(path, names), { headers: { Accept: "application/json" } });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}

/** based are the headers of a change of the configuration: what it is based on. */
export const based = (version: number): Record<string, string> => ({ "If-Match": `"${version}"` });

/** unheard are the keys of changes that nobody was told the end of, by what was asked. */
const unheard = new Map<string, string>();

/**
 * once makes a change under a key of its own (Idempotency-Key). The key is kept until an answer has come: when the connection
 * was cut, and the same is asked for again, the node makes the change once and answers as it would have.
 */
async function once<T>(action: unknown[], ask: (key: string) => Promise<T>): Promise<T> {
  const name = JSON.stringify(action);
  const key = unheard.get(name) ?? freshKey();
  unheard.set(name, key);
  const settled = () => unheard.delete(name);
  try {
    const gave = await ask(key);
    settled();
    return gave;
  } catch (err) {
    if (err instanceof Refusal && err.status < 500 && err.status !== 409) settled(); // 409: perhaps it is still being carried out
    throw err;
  }
}

/** ofFile tells files apart without reading them. */
const ofFile = (f: Blob): unknown[] => [f.size, ...(f instanceof File ? [f.name, f.lastModified] : [])];

function freshKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** change does something. Parts of the path in braces are taken from names. */
export const change = <C extends keyof Changes>(
  what: C, body: Changes[C]["takes"], names: Names = {}, headers: Record<string, string> = {},
): Promise<Changes[C]["gives"]> => once([what, names, headers, body], async (key) => {
  const answer = await send(what, body, names, { ...headers, [keyHeader]: key });
  if (!answer.ok) throw await refusalOf(answer);
  const text = await answer.text(); // 202 and 204 may have none
  return text === "" ? (undefined as Changes[C]["gives"]) : JSON.parse(text);
});

/** changeForFile does something whose answer is a file. Nobody keeps such an answer, so it has no key. */
export const changeForFile = async <C extends keyof Changes>(what: C, body: Changes[C]["takes"]): Promise<{ file: Blob; name: string }> => fileOf(await send(what, body, {}, {}));

function send(what: string, body: unknown, names: Names, headers: Record<string, string>): Promise<Response> {
  const [method, pattern] = what.split(" ") as [string, string];
  return fetch(base + named(pattern, names), {
    method,
    headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

/** upload is a change whose body is a file. */
export const upload = <C extends keyof Changes>(what: C, file: Blob, query: Query = {}): Promise<Changes[C]["gives"]> => once([what, query, ...ofFile(file)], async (key) => {
  const [method, path] = what.split(" ") as [string, keyof Reads];
  const answer = await fetch(address(path, query), { method, headers: { "Content-Type": "text/plain", [keyHeader]: key }, body: file });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
});

/** uploadLarge is the same for a file that takes its time. fetch does not tell how far a body is; this does. */
export function uploadLarge<C extends keyof Changes>(what: C, file: Blob, query: Query, told: (done: number) => void, signal: AbortSignal): Promise<Changes[C]["gives"]> {
  const [method, path] = what.split(" ") as [string, keyof Reads];
  const request = new XMLHttpRequest();
  return once([what, query, ...ofFile(file)], (key) => new Promise((done, refuse) => {
    request.open(method, address(path, query));
    request.setRequestHeader(keyHeader, key);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (e) => told(e.loaded);
    request.onerror = () => refuse(new TypeError("unreachable"));
    request.onabort = () => refuse(new DOMException("stopped", "AbortError"));
    request.onload = () => {
      if (request.status < 300) done(JSON.parse(request.responseText));
      else void refusalOf(new Response(request.responseText, { status: request.status, statusText: request.statusText })).then(refuse);
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  }));
}

/** said turns whatever was thrown into a sentence. */
export function said(err: unknown): string {
  if (err instanceof Refusal) return err.message;
  if (err instanceof TypeError) return "the node does not answer; the change may or may not have been made: asked for again, it is made once";
  return err instanceof Error ? err.message : String(err);
}
