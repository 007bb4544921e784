// What the types promise, and what they refuse. Checked by `make lint`; never run.

import { Commit, flash, HoldallError, type Session, SessionManager, session, withSession } from "holdall";

interface Data {
  user?: { id: number };
  visits?: number;
  tags?: string[];
  mixed: string | number;
}

function is<T>(_value: T): void {}

export async function typed(manager: SessionManager<Data>): Promise<void> {
  const opened: Session<Data> = await manager.open(undefined, { mode: "exclusive", secure: true, lockTimeoutMs: 100 });
  is<{ id: number } | undefined>(opened.get("user"));
  is<number>(opened.get("visits", 0));
  is<string | number | undefined>(opened.get("mixed"));
  is<number>(opened.increment("visits", 2));
  opened.push("tags", "x");
  opened.set("user", { id: 1 });
  opened.flash("mixed", "text");
  is<string[]>(opened.remember("tags", () => []));
  is<string[]>(await opened.remember("tags", async () => []));
  is<Partial<Data>>(opened.all());
  is<{ visits?: number; tags?: string[] }>(opened.only("visits", "tags"));
  is<number | undefined>(opened.except("user").visits);
  is<{ id: number } | undefined>(opened.pull("user"));
  is<boolean>(opened.csrfMatches(undefined));
  opened.setIdleTimeout(null);
  const commit: Commit = await opened.commit({ ageFlash: false });
  is<"saved" | "unchanged" | "gone" | "moved">(commit.outcome);
  for (const [name, value] of commit.headers) is<string>(name + value);

  // @ts-expect-error There is no such key.
  opened.get("usr");
  // @ts-expect-error Another type.
  opened.set("visits", "3");
  // @ts-expect-error A key that is to be deleted is deleted.
  opened.set("visits", undefined);
  // @ts-expect-error No number.
  opened.increment("user");
  // @ts-expect-error No array.
  opened.push("visits", 1);
  // @ts-expect-error An array of strings.
  opened.push("tags", 1);
  // @ts-expect-error No mode.
  await manager.open("", { mode: "hasty" });
  // @ts-expect-error A promise has to be awaited.
  is<Commit>(opened.commit());
  // @ts-expect-error Sessions are opened.
  new Commit();
}

export async function untyped(): Promise<void> {
  const manager = new SessionManager({ url: "memory:", idle_timeout_s: 60, cookie: { secure: "auto" } }, { offThread: true });
  manager.onEvent((kind, prefix) => is<[string, string]>([kind, prefix]));
  is<number>(manager.stats().commits.saved);
  is<boolean>((await manager.sweep(10)).finished);
  for (const record of await manager.records()) is<boolean>(await manager.destroy(record.locator));
  const opened = await manager.driver("memory").openToken(null);
  is<string>(opened.get("anything"));
  opened.set("anything", [1, { a: null }]);
  opened.increment("anything");
  opened.push("anything", "at all");
  is<number>(
    withSession(opened, () => {
      flash("notice", "hello");
      is<string>(flash("notice"));
      is<number>(session<Data>().get("visits", 0));
      return session("visits", 0);
    }),
  );
  try {
    await opened.destroy();
  } catch (error) {
    if (error instanceof HoldallError && error.code === "unavailable") is<boolean>(error.retryable && !error.locked);
    throw error;
  }
}
