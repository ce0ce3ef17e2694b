// Answers that the node does not stream: asked for when they are shown, after a change, and now and then.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { said } from "./api";

export interface Answer<T> {
  data?: T;
  refused?: string;
  again: () => Promise<void>;
}

const every = 15_000; // ms; others change users and tokens, but rarely

/** useAnswer asks when it is first shown, whenever key changes, and by again. */
export function useAnswer<T>(ask: () => Promise<T>, key: string, often = every): Answer<T> {
  const [got, setGot] = useState<{ data?: T; refused?: string }>({});
  const latest = useRef(ask);
  latest.current = ask;
  const turn = useRef(0);
  const again = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const data = await latest.current();
      if (mine === turn.current) setGot({ data });
    } catch (err) {
      if (mine === turn.current) setGot((was) => ({ data: was.data, refused: said(err) }));
    }
  }, []);
  useEffect(() => {
    void again();
    const t = setInterval(() => !document.hidden && void again(), often);
    return () => {
      turn.current++; // what is still under way is for nobody
      clearInterval(t);
    };
  }, [key]);
  return { ...got, again };
}
