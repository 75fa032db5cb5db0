/** What must compile: the client in a mini-program that is written in TypeScript. */
import { createGate, GateError, platformOf } from '@minigate/miniprogram'
import type { Gate, LoggedIn, Platform } from '@minigate/miniprogram'
import { forTaro, forUni, forWx } from '../../../miniprogram/minigate/adapters'

const plain: Gate = createGate({ baseUrl: 'https://login.example.com' })
const gate: Gate = createGate({
  baseUrl: 'https://login.example.com',
  trusted: ['https://api.example.com'],
  platform: forWx(wx),
  storageKey: 'minigate',
  appid: 'wx0000000000000000',
  device: 'phone',
  header: { 'Accept-Language': 'en' },
  retries: 1,
  longestWaitMs: 3000,
})

const simulated: Platform = Object.assign(platformOf(wx), { login: async () => 'code' })
createGate({ baseUrl: 'http://127.0.0.1:8000', platform: simulated })
forUni(wx)
forTaro(wx)

interface Products {
  code: number
  data: { products: { id: number; name: string; priceFen: number }[] }
}

async function calls(): Promise<string[]> {
  const answer = await gate.request<Products>({ url: '/wx/products/list', timeout: 5000 })
  const status: number = answer.statusCode
  const { data: text } = await gate.uploadFile({ url: '/me/avatar', filePath: 'wxfile://a', name: 'avatar' })
  const file: string = (await gate.downloadFile({ url: 'https://api.example.com/bill' })).tempFilePath
  const socket = await gate.connectSocket<WechatMiniprogram.SocketTask>({ url: 'wss://login.example.com/live' })
  socket.onClose(() => undefined)
  await gate.request({
    url: '/me',
    method: 'PUT',
    data: { nickname: text + file + status },
    onTask: (task: WechatMiniprogram.RequestTask) => task.abort(),
  })
  return answer.data.data.products.map(({ name }) => name)
}

async function logins(event: WechatMiniprogram.CustomEvent<{ code?: string; errMsg: string }>): Promise<LoggedIn> {
  await gate.prepareLogin()
  const left: number = (await plain.session()).expiresIn
  const ended: boolean = await gate.logout()
  if (left > 0 && ended) await gate.login({ encryptedData: '', iv: '' })
  return gate.loginByPhone(event.detail)
}

const off: () => void = gate.on('replaced', (error) => {
  const name: 'session_replaced' | string = error.error
  wx.showToast({ title: `${name} ${error.code} ${error.message}` })
})
gate.on('login', ({ user, isNewUser }) => isNewUser && console.log(user.nickname))
if (gate.stopped === 'session_replaced' && !gate.loggedIn) off()

calls().catch((reason: unknown) => {
  if (reason instanceof GateError && reason.error === 'offline') console.log(reason.retryAfterMs)
})
export { logins }
