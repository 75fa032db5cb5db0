/** The part of `wx` that the mini-program uses, on a simulated phone. */

const METHODS = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT']
const TIMEOUT_MS = 60000 // WeChat's own

/**
 * `appid` is the mini-program's; `user` is who is signed in to WeChat; `storage` what the phone keeps for them; `watch` hears
 * of each request: it gets what is sent, and returns what to call with the end of it.
 */
export function makeWx({ simulator, appid, user, storage, watch }) {
  const files = new Map() // temporary paths, as of wx.chooseMedia

  /** Callbacks come later, and none of them is a promise: as in WeChat. */
  function answer(options, name, promise) {
    promise.then(
      (res) => setTimeout(() => options.success && options.success(res)),
      (fault) => setTimeout(() => options.fail && options.fail({ errMsg: `${name}:fail ${fault.message}` }))
    )
    return { abort() {} }
  }

  async function fetched(url, given, timeout) {
    const ended = watch({ method: given.method, url, sessionid: given.headers.sessionid })
    try {
      const reply = await fetch(url, { ...given, signal: AbortSignal.timeout(timeout || TIMEOUT_MS) })
      const text = await reply.text()
      ended(reply.status, text)
      return { statusCode: reply.status, header: Object.fromEntries(reply.headers), data: text }
    } catch (fault) {
      ended(0, '')
      throw fault
    }
  }

  async function request({ url, method = 'GET', data, header, timeout }) {
    if (!METHODS.includes(method)) throw new Error('method is invalid')
    const headers = { 'content-type': 'application/json', ...header }
    const body = method === 'POST' || method === 'PUT' ? JSON.stringify(data || {}) : undefined
    const res = await fetched(url, { method, headers, body }, timeout)
    try {
      res.data = JSON.parse(res.data)
    } catch (_) {
      // WeChat hands over text that is no JSON as text.
    }
    return { ...res, errMsg: 'request:ok' }
  }

  async function upload({ url, filePath, name, formData, header, timeout }) {
    const file = files.get(filePath)
    if (!file) throw new Error('file not found')
    const body = new FormData()
    for (const [field, value] of Object.entries(formData || {})) body.append(field, value)
    body.append(name, file)
    return fetched(url, { method: 'POST', headers: { ...header }, body }, timeout)
  }

  async function fromWeChat(path) {
    const headers = { 'content-type': 'application/json' }
    const given = { method: 'POST', headers, body: JSON.stringify({ user, appid }) }
    const res = await fetched(simulator.url + path, given)
    if (res.statusCode !== 200) throw new Error(`the simulator answered ${res.statusCode}`)
    return JSON.parse(res.data)
  }

  return {
    login: (options) => answer(options, 'login', fromWeChat('/sim/login')),
    request: (options) => answer(options, 'request', request(options)),
    uploadFile: (options) => answer(options, 'uploadFile', upload(options)),
    getStorageSync: (key) => storage.get(key),
    setStorageSync: (key, value) => storage.set(key, value),
    /** What the phone number button hands over as `e.detail`. */
    pressPhoneButton: () =>
      fromWeChat('/sim/phone').catch((fault) => ({ errMsg: `getPhoneNumber:fail ${fault.message}` })),
    /** The temporary path of a file that the user has chosen. */
    takeFile(file) {
      const path = `wxfile://tmp_${files.size + 1}`
      files.set(path, file)
      return path
    },
  }
}
