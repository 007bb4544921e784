// What a Lunox application imports. Checked by `make lint`; never run.

import { type Session, SessionServiceProvider, StartSession } from "holdall/lunox";

export const providers = [SessionServiceProvider];
export const middleware = [StartSession];

export async function used(session: Session): Promise<string> {
  session.put("user", { id: 1 });
  session.forget("user");
  session.holdall.increment("visits");
  // @ts-expect-error A key is text.
  session.get(1);
  await session.migrate(true);
  return session.token();
}
