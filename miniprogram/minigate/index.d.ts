/** MiniGate's client for mini-programs. These types need no others: wx, uni and Taro all fit. */

/** Every name in `error` of the service's answers; there may be more in a newer service. */
export type ServiceErrorName =
  | 'invalid_request'
  | 'login_code_invalid'
  | 'login_code_used'
  | 'phone_code_invalid'
  | 'unknown_appid'
  | 'decrypt_failed'
  | 'nickname_empty'
  | 'nickname_too_long'
  | 'nickname_invisible'
  | 'nickname_rejected'
  | 'nickname_unusable'
  | 'session_missing'
  | 'session_replaced'
  | 'session_expired'
  | 'session_kicked'
  | 'session_malformed'
  | 'login_too_old'
  | 'user_banned'
  | 'wechat_user_blocked'
  | 'not_found'
  | 'user_not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'phone_taken'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'idempotency_key_reused'
  | 'rate_limited'
  | 'wechat_rate_limited'
  | 'internal'
  | 'wechat_unavailable'
  | 'session_store_unavailable'
  | 'user_store_unavailable'
  | 'service_unavailable'
  | 'wechat_misconfigured'
  | 'wechat_busy'
  | 'pictures_busy'

/** What the client itself rejects with. */
export type ClientErrorName =
  /** No answer; `message` is WeChat's errMsg. */
  | 'offline'
  | 'wx_login_failed'
  /** The user did not share the phone number. */
  | 'phone_refused'
  | 'logged_out'
  | 'foreign_url'
  | 'callbacks_given'

export type StopName = 'session_replaced' | 'session_kicked' | 'user_banned' | 'wechat_user_blocked' | 'logged_out'

export class GateError extends Error {
  constructor(error: string, message?: string, details?: Partial<GateError>)
  /** Branch on this. The `string` leaves room for names of newer services and of proxies (`http_502`). */
  readonly error: ServiceErrorName | ClientErrorName | (string & {})
  /** For the user: Chinese, or English where the `Accept-Language` header asks for it. */
  readonly message: string
  /** The service's number, such as 40101; 0 if the error is not the service's. */
  readonly code: number
  /** The HTTP status; 0 without an answer. */
  readonly status: number
  readonly data: Record<string, unknown> | null
  /** To quote to whoever runs the service. */
  readonly requestId: string
  /** How long the service asks to wait, where that is longer than the client waits by itself; else 0. */
  readonly retryAfterMs: number
}

export interface User {
  id: string
  nickname: string
  /** A path at `baseUrl`, or an address. */
  avatar: string
  /** Masked. */
  phone: string | null
}

export interface LoggedIn {
  sessionid: string
  /** Seconds. */
  expiresIn: number
  isNewUser: boolean
  user: User
}

export interface Session {
  /** Seconds left. */
  expiresIn: number
  /** Unix seconds. */
  issuedAt: number
  device: string
  /** Only `id` while the service's user database is away. */
  user: Partial<User> & { id: string }
}

export interface Header {
  [name: string]: string
}

/** An answer of wx.request; of whichever HTTP status but those that the client deals with. */
export interface Answer<T> {
  data: T
  statusCode: number
  header: any
  errMsg?: string
}

interface Given {
  /** A path at `baseUrl`, or an address there or at one of `trusted`. */
  url: string
  header?: Header
  /** Milliseconds. */
  timeout?: number
  success?: never
  fail?: never
  complete?: never
}

export interface RequestOptions extends Given {
  /** wx.request knows no PATCH. */
  method?: 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT'
  data?: string | object | ArrayBuffer
  dataType?: string
  responseType?: 'text' | 'arraybuffer'
  enableHttp2?: boolean
  enableQuic?: boolean
  enableCache?: boolean
  /** Gets the platform's task, to abort it; again for a repeat. */
  onTask?: (task: any) => void
}

export interface UploadOptions extends Given {
  filePath: string
  name: string
  formData?: Record<string, any>
  onTask?: (task: any) => void
}

export interface DownloadOptions extends Given {
  filePath?: string
  onTask?: (task: any) => void
}

export interface SocketOptions extends Omit<Given, 'timeout'> {
  protocols?: string[]
  tcpNoDelay?: boolean
  perMessageDeflate?: boolean
  timeout?: number
}

/** What the client needs of the world: implement it to run anywhere. */
export interface Platform {
  request(options: any): Promise<any>
  uploadFile(options: any): Promise<any>
  downloadFile(options: any): Promise<any>
  connectSocket(options: any): any
  /** A new login code, as of wx.login. */
  login(): Promise<string>
  load(key: string): any
  save(key: string, value: object): void
}

/** An API in the manner of `wx`. */
export interface Api {
  request(options: any): any
  uploadFile(options: any): any
  downloadFile(options: any): any
  connectSocket(options: any): any
  login(options: any): any
  getStorageSync(key: string): any
  setStorageSync(key: string, value: any): any
}

export interface GateOptions {
  /** Where the service is: `https://login.example.com`. */
  baseUrl: string
  /** Your back ends elsewhere that get the session id too. No other address ever gets it. */
  trusted?: string[]
  /** Default: `platformOf(wx)`. */
  platform?: Platform
  /** Default: `minigate`. */
  storageKey?: string
  /** Needed only where the service serves several mini-programs and cannot see the Referer. */
  appid?: string
  /** A device class of the service's DEVICE_CLASSES. */
  device?: string
  /** Sent with every request, e.g. `{ 'Accept-Language': 'en' }`. */
  header?: Header
  /** Repeats of one request after 503, 429 and, for logins, no answer. Default: 2. */
  retries?: number
  /** A longer Retry-After is left to the caller. Default: 5000. */
  longestWaitMs?: number
}

export interface LoginFields {
  encryptedData?: string
  iv?: string
  rawData?: string
  signature?: string
}

export interface Events {
  /** There is a new session. */
  login: (answer: LoggedIn) => void
  /** Another device has logged in; stays logged out until `login()`. */
  replaced: (error: GateError) => void
  /** An operator ended the session; stays logged out until `login()`. */
  kicked: (error: GateError) => void
  /** The user is banned here or blocked by WeChat; stays logged out until `login()`. */
  banned: (error: GateError) => void
  /** A request got no answer. */
  offline: (error: GateError) => void
}

export interface Gate {
  /** wx.request with the session; rejects with a GateError where no session is to be had. */
  request<T = any>(options: RequestOptions): Promise<Answer<T>>
  /** `data` of the answer is text, as of wx.uploadFile. */
  uploadFile(options: UploadOptions): Promise<Answer<string>>
  downloadFile(options: DownloadOptions): Promise<{ statusCode: number; tempFilePath: string; filePath?: string }>
  /** Resolves with the platform's SocketTask. */
  connectSocket<Task = any>(options: SocketOptions): Promise<Task>
  /** Log in because the user wants it; calls log in silently by themselves. */
  login(fields?: LoginFields): Promise<LoggedIn>
  /** Get a login code ahead, when a page with the phone number button appears. Never rejects. */
  prepareLogin(): Promise<void>
  /** With `e.detail` of the button's event. */
  loginByPhone(detail: { code?: string; errMsg?: string }, fields?: LoginFields): Promise<LoggedIn>
  /**
   * Stays logged out until `login()`. Resolves with whether there was a session left to end; rejects
   * where the service did not end it, and the next `logout()` tries again.
   */
  logout(): Promise<boolean>
  session(): Promise<Session>
  /** Returns what takes the listener off again. */
  on<Name extends keyof Events>(event: Name, listener: Events[Name]): () => void
  readonly loggedIn: boolean
  /** Why there is no session until the user acts; survives a restart. */
  readonly stopped: StopName | null
}

export function createGate(options: GateOptions): Gate
export function platformOf(api: Api, loginOptions?: object): Platform
