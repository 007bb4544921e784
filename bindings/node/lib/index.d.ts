/** Holdall: sessions that lose nothing. */

/** The configuration document of docs/config.md. Unknown fields and impossible combinations are refused, naming the field. */
export interface Config {
  url?: string | null;
  default?: string;
  drivers?: Record<string, { type: string } & Record<string, unknown>>;
  cookie?: {
    name?: string | null;
    path?: string;
    domain?: string | null;
    secure?: boolean | "auto";
    http_only?: boolean;
    same_site?: "lax" | "strict" | "none";
    partitioned?: boolean;
    persistent?: boolean;
  };
  idle_timeout_s?: number;
  absolute_timeout_s?: number;
  new_idle_timeout_s?: number;
  touch_after?: number;
  max_record_bytes?: number;
  max_key_bytes?: number;
  max_keys?: number;
  flash?: FlashPolicy;
  keyed_secret?: string | null;
  keys?: (string | { file: string } | { env: string })[];
  application?: string;
  at_rest?: "plain" | "sealed" | "sealed_only";
  /** Fields of later releases. */
  [field: string]: unknown;
}

/** A configuration's fields, and what is of this package alone. */
export interface ManagerOptions extends Config {
  /**
   * Whether loads and commits run in a thread. Left out: commits and destroys of a driver whose `durability` is `commit`, which
   * take milliseconds, and nothing else.
   */
  offThread?: boolean;
}

export type FlashPolicy = "next_request" | "on_read" | "explicit";
export type Mode = "shared" | "exclusive" | "readOnly";
export type Outcome = "saved" | "unchanged" | "gone" | "moved";
export type EventKind =
  | "created"
  | "regenerated"
  | "destroyed"
  | "gone"
  | "moved"
  | "expired"
  | "evicted"
  | "conflict"
  | "quarantined"
  | "rolled_back"
  | "unknown_token"
  | "malformed_token"
  | "unavailable";
export type ErrorCode =
  | "invalid_argument"
  | "invalid_config"
  | "invalid_value"
  | "too_large"
  | "unavailable"
  | "corrupt"
  | "unsupported"
  | "misuse"
  | "panic";

/** Any error of Holdall. No message has an id, a value or a secret in it. */
export class HoldallError extends Error {
  constructor(code: ErrorCode, message: string, flags?: { retryable?: boolean; mayHaveWritten?: boolean; locked?: boolean });
  /** The kind, the same word in every language: docs/errors.md. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without anything being changed: a lock that was held, a full disk. */
  readonly retryable: boolean;
  /** Whether the write may have taken effect although the call failed. A commit that is repeated finds out by itself. */
  readonly mayHaveWritten: boolean;
  /** Whether another request has the session, and nothing else is wrong. */
  readonly locked: boolean;
}

export interface OpenOptions {
  /** `exclusive`: others wait for this session's commit. `readOnly`: never writes. Default `shared`. */
  mode?: Mode;
  /** Whether the request came over https, for `cookie.secure` "auto". */
  secure?: boolean;
  /** Another flash policy than the configured one. */
  flash?: FlashPolicy;
  /** How long an exclusive open, a commit and a destroy wait for a lock; 0 tries once. The event loop goes on meanwhile. */
  lockTimeoutMs?: number;
  /** The time, in milliseconds since the Unix epoch, instead of the system's clock. */
  nowMs?: number;
}

export interface CommitOptions {
  /** Whether this response shows flash messages; otherwise as the flash policy says. */
  ageFlash?: boolean;
  nowMs?: number;
}

/** What a commit answered. */
export class Commit {
  private constructor();
  readonly outcome: Outcome;
  /** Name and value of each header that the response should carry. */
  readonly headers: [name: string, value: string][];
  /** Key and reason of each operation that met a change by another request. All others are stored. */
  readonly conflicts: [key: string, reason: "not_an_integer" | "out_of_range" | "not_an_array" | "overwritten"][];
}

export interface RecordInfo {
  /** Where it is: the handle to destroy it by. It is not a cookie. */
  locator: string;
  /** When it ends, in milliseconds since the Unix epoch. */
  expiryMs: number;
  bytes: number;
}

// The names of what may be kept under a key, and of those whose values have this type.
type Key<Data> = Extract<keyof Data, string>;
type KeyOf<Data, Value> = { [K in Key<Data>]-?: Data[K] extends Value | undefined ? K : never }[Key<Data>];
type Element<List> = NonNullable<List> extends readonly (infer One)[] ? One : NonNullable<List> extends never ? never : any;

/**
 * A configuration and its drivers; opens sessions. One for the process. `Data` is what the application keeps in a session.
 *
 * @example
 * const manager = new SessionManager<{ user?: number }>("file:///var/lib/app/sessions", { idle_timeout_s: 1800 });
 */
export class SessionManager<Data extends object = Record<string, any>> {
  /** A URL, JSON text or an object, with single fields over it. Throws `invalid_config`, naming the field. */
  constructor(config?: string | ManagerOptions, fields?: ManagerOptions);
  /**
   * Opens the session that a request's whole Cookie header names; undefined or empty where there was none. Reads nothing yet, but
   * an exclusive session. What is unknown, malformed, expired or tampered with is absent: the first write makes a fresh session.
   */
  open(cookieHeader?: string | null, options?: OpenOptions): Promise<Session<Data>>;
  /** Opens the session of a token: the cookie's value, or what an API client sends elsewhere. */
  openToken(token?: string | null, options?: OpenOptions): Promise<Session<Data>>;
  /** Opens the session that belongs to a key of the application. `unsupported` unless `keyed_secret` is configured. */
  openKeyed(key: string, options?: OpenOptions): Promise<Session<Data>>;
  /** The same manager with another of its drivers, whose cookie is the default's name, `-` and the driver's name. */
  driver(name: string): SessionManager<Data>;
  /** Removes expired records, looking at no more than `limit` entries. Ordinary traffic does this too. */
  sweep(limit?: number, options?: { nowMs?: number }): Promise<{ lookedAt: number; removed: number; finished: boolean }>;
  /** Every record that lives. For tools. */
  records(options?: { nowMs?: number }): Promise<RecordInfo[]>;
  /** Destroys a record by its locator. False where there is none. */
  destroy(locator: string, options?: { nowMs?: number }): Promise<boolean>;
  /**
   * Has events told, soon after they happened; `session` is a prefix of the hashed id, never the id. What the listener throws is a
   * warning of the process. Once a manager. Keeps no process alive.
   */
  onEvent(listener: (kind: EventKind, session: string) => void): void;
  /** The driver that opens sessions here. */
  readonly driverName: string;
  /** The name of the cookie that sessions opened here have. */
  readonly cookieName: string;
  /** Counters of this process since the manager was made, and sizes of its drivers. */
  stats(): {
    commits: Record<Outcome, number>;
    events: Record<EventKind, number>;
    drivers: Record<string, { records: number | null; bytes: number | null; capabilities: Record<string, boolean | number> }>;
  };
  /** The configuration in force, every default filled in, secrets left out. */
  config(): Record<string, any>;
}

/**
 * One request's view of a visitor's data. Nothing is read before the first access, and nothing written before `commit`.
 *
 * An array or an object that `get` or `all` gave, or that was `set`, is the session's: what is done to it before the commit is
 * saved. What was given to `flash` is a copy. Values are what `JSON.stringify` makes of them.
 */
export class Session<Data extends object = Record<string, any>> {
  private constructor();

  /** The value of a key, or `fallback` where it is missing. Sees data, then flash: on an equal key data wins. */
  get<K extends Key<Data>>(key: K): Data[K] | undefined;
  get<K extends Key<Data>, F>(key: K, fallback: F): Exclude<Data[K], undefined> | F;
  /** The value as the JSON text that is stored: integers of any size are exact here. */
  getJson(key: Key<Data>): string | undefined;
  /** `getJson` of the data alone, flash left out. */
  dataJson(key: Key<Data>): string | undefined;
  /** Whether a key is present and not null. Ends no flash. */
  has(key: Key<Data>): boolean;
  /** Whether a key is present, null or not. Ends no flash. */
  exists(key: Key<Data>): boolean;
  missing(key: Key<Data>): boolean;
  /** All there is, data and flash. The object is a copy; the arrays and objects in it are the session's. */
  all(): Partial<Data>;
  /** `all` as JSON text. */
  allJson(): string;
  only<K extends Key<Data>>(...keys: K[]): Partial<Pick<Data, K>>;
  except<K extends Key<Data>>(...keys: K[]): Partial<Omit<Data, K>>;
  /** What was typed into a field of the form that `flashInput` kept in the request before. */
  old(field: string): any;
  old<F>(field: string, fallback: F): any;
  readonly previousUrl: string | undefined;
  setPreviousUrl(url: string): void;

  /**
   * Sets a key. Of two requests that set the same key the last commit wins. Throws `invalid_value` with key and reason, `too_large`
   * with limit and size, `misuse` after the commit or in a read-only session. Nothing has changed then.
   */
  set<K extends Key<Data>>(key: K, value: Exclude<Data[K], undefined>): void;
  /** Sets a key to a JSON text, which is checked and kept as it is. */
  setJson(key: Key<Data>, json: string): void;
  /** Writes back a value that was read and changed elsewhere. */
  replaceJson(key: Key<Data>, json: string): void;
  /** Throws what `setJson` would, and sets nothing. */
  checkJson(key: Key<Data>, json: string): void;
  /** Deletes keys, data and flash of that name. */
  delete(...keys: Key<Data>[]): void;
  /** Gives a value and deletes it, if nobody changed it meanwhile. What must happen once needs an exclusive session. */
  pull<K extends Key<Data>>(key: K): Data[K] | undefined;
  pull<K extends Key<Data>, F>(key: K, fallback: F): Exclude<Data[K], undefined> | F;
  /** Adds to an integer, 0 where the key is missing. Parallel increments all count. The sum is exact up to 2^53. */
  increment(key: KeyOf<Data, number>, n?: number): number;
  decrement(key: KeyOf<Data, number>, n?: number): number;
  /** Appends to an array, empty where the key is missing. Parallel pushes all arrive. */
  push<K extends KeyOf<Data, readonly any[]>>(key: K, value: Element<Data[K]>): void;
  /** Gives the value of a key, or what `make` makes, which is then set if the key is still absent at the commit. */
  remember<K extends Key<Data>>(key: K, make: () => Exclude<Data[K], undefined>): Exclude<Data[K], undefined>;
  remember<K extends Key<Data>>(
    key: K,
    make: () => Promise<Exclude<Data[K], undefined>>,
  ): Exclude<Data[K], undefined> | Promise<Exclude<Data[K], undefined>>;
  /** Clears data and flash, whoever stored it. Id, CSRF secret, previous URL and timeouts stay. */
  flush(): void;
  /** Clears the data and leaves flash; with `flashOnly`, clears flash alone. */
  reset(options?: { flashOnly?: boolean }): void;

  /** Keeps a value for the next request. */
  flash<K extends Key<Data>>(key: K, value: Exclude<Data[K], undefined>): void;
  /** Shows a value in this request only. */
  flashNow<K extends Key<Data>>(key: K, value: Exclude<Data[K], undefined>): void;
  /** Keeps flash that this request found for one more. */
  keep(...keys: Key<Data>[]): void;
  reflash(): void;
  /** Keeps a form for the next request, for `old`. Leave passwords out of it. */
  flashInput(form: object): void;

  /** The session's id, a secret. Chosen here for a session that has no record yet; undefined for a keyed one. */
  readonly id: string | undefined;
  /** Whether there is no record yet. */
  readonly isNew: boolean;
  /** A new id for the same data, in force with the commit. Call it when somebody signs in or gets more rights. */
  regenerate(): void;
  /** A new id and no data, in force with the commit. */
  invalidate(): void;
  /** Destroys the record now and ends this handle. The commit then only removes the cookie. */
  destroy(options?: { nowMs?: number }): Promise<void>;
  /** Whether `destroy` was called here, and succeeded. */
  readonly isDestroyed: boolean;
  /** Extends the idle timeout even where throttling would not. */
  touch(): void;
  /** Ends this session that many seconds after its last use; null is as configured. Never later than what is configured. */
  setIdleTimeout(seconds: number | null): void;
  setAbsoluteTimeout(seconds: number | null): void;
  /** Whether the cookie has Max-Age and outlives the browser. */
  setPersistent(persistent: boolean): void;

  /** The CSRF token for a form, masked anew at each call. Makes a record. */
  csrfToken(): string;
  /** Whether what a form sent is this session's token. False for what is no string. */
  csrfMatches(candidate: unknown): boolean;
  regenerateCsrfToken(): void;

  /**
   * Ends the request: ages flash, writes what changed in one atomic step, and says what the response should carry. A commit that
   * failed may be repeated; one that had taken effect is not applied twice.
   */
  commit(options?: CommitOptions): Promise<Commit>;
  /** What the last commit answered. */
  readonly committed: Commit | undefined;
  /** Lets go of a session that is not committed, and of its lock. */
  close(): void;
}

/**
 * Makes a key for `keys` in the configuration: 32 random bytes as 43 characters of base64url. A secret: whoever has it can make himself
 * any session. Keep it in a file or a variable of the environment, which the configuration can name.
 */
export function generateKey(): string;

/** Runs `call` with this session as the one that `session()` gives, for adapters of your own. */
export function withSession<T>(session: Session<any>, call: () => T): T;
/** The session of the request that is being answered, or one of its values. Throws `misuse` outside of one. */
export function session<Data extends object = Record<string, any>>(): Session<Data>;
export function session(key: string, fallback?: unknown): any;
/** Reads a value as `session().get` does, or flashes one. */
export function flash(key: string): any;
export function flash(key: string, value: unknown): void;
