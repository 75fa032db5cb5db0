/** What must not compile: each line below has a mistake, and tsc fails if it takes one. */
import { createGate, GateError, platformOf } from '@minigate/miniprogram'

const gate = createGate({ baseUrl: 'https://login.example.com' })

// @ts-expect-error a check on this check: wx is typed, and not `any`
wx.noSuchCall()
// @ts-expect-error baseUrl is needed
createGate({})
// @ts-expect-error an option misspelt
createGate({ baseUrl: '', storage: 'minigate' })
// @ts-expect-error half a platform
createGate({ baseUrl: '', platform: { request: wx.request } })
// @ts-expect-error not in the manner of wx
platformOf({ request: () => undefined })
// @ts-expect-error wx.request has no PATCH
gate.request({ url: '/me', method: 'PATCH' })
// @ts-expect-error callbacks would never be called
gate.request({ url: '/me', success: () => undefined })
// @ts-expect-error url is needed
gate.request({ data: {} })
// @ts-expect-error name is needed
gate.uploadFile({ url: '/me/avatar', filePath: 'wxfile://a' })
// @ts-expect-error no such event
gate.on('expired', () => undefined)
// @ts-expect-error a login's listener gets no error
gate.on('login', (error: GateError) => error.code)
// @ts-expect-error it is e.detail that is wanted, not its code
gate.loginByPhone('code')
// @ts-expect-error to be changed by login() and logout() only
gate.loggedIn = true
// @ts-expect-error no reason of that name
if (gate.stopped === 'expired') gate.login()
gate.request<{ data: { id: number } }>({ url: '/me' }).then((answer) => {
  // @ts-expect-error a number is no text
  const id: string = answer.data.data.id
  return id
})
