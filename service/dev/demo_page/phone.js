/** A phone: who is signed in to WeChat on it, and the mini-program that runs there. */

import { language, t } from './language.js'
import { Requests } from './requests.js'
import { Screen } from './screen.js'
import { makeWx } from './shim.js'
import { storageOf } from './storage.js'

const { createGate, platformOf } = globalThis.module.exports
const SLOW_MS = 1200
const FRESH = { busy: '', slow: false, retrying: false, error: null, stop: null, said: null, user: null }

export class Phone extends EventTarget {
  constructor(letter, root, { simulator, appid }) {
    super()
    Object.assign(this, { letter, root, simulator, appid, sessionid: '', work: Promise.resolve() })
    this.header = {} // the client reads it anew for each request
    this.own = storageOf(letter)
    this.screen = new Screen(root)
    this.requests = new Requests(root.querySelector('.requests'))
    this.launch(this.own.get('user') || (letter === 'A' ? 'alice' : 'bob'))
  }

  /** Start the mini-program for this WeChat user: everything but the storage is new. */
  launch(user) {
    this.own.set('user', user)
    this.account = user
    this.sessionid = ''
    this.state = { ...FRESH, until: null, products: null, renaming: false }
    const storage = storageOf(this.letter, user)
    const watch = (sent) => this.watch(sent)
    this.wx = makeWx({ simulator: this.simulator, appid: this.appid, user, storage, watch })
    const gate = createGate({ baseUrl: location.origin, platform: platformOf(this.wx), appid: this.appid, header: this.header })
    this.gate = gate
    gate.on('login', (answer) => gate === this.gate && this.loggedIn(answer))
    for (const event of ['replaced', 'kicked', 'banned']) {
      gate.on(event, (error) => gate === this.gate && this.stopped(event, error))
    }
    this.relabel()
    if (gate.loggedIn || (gate.stopped && gate.stopped !== 'logged_out')) this.check()
  }

  relabel() {
    this.header['Accept-Language'] = language() === 'zh' ? 'zh-CN' : 'en'
    this.root.querySelector('h2').textContent = t('phoneName', this.letter)
    this.root.setAttribute('aria-label', t('phoneName', this.letter))
    this.requests.paint()
    this.change({})
    if (this.state.products) this.showProducts() // their names come from the service
  }

  change(news) {
    Object.assign(this.state, news)
    if (this.state.stop || !this.gate.loggedIn) Object.assign(this.state, { user: null, until: null, products: null, renaming: false })
    if (this.state.stop) this.state.said = null // of the session that has ended
    this.screen.show(this)
    this.dispatchEvent(new Event('change'))
  }

  /** How it stands with the user here: `in`, `out`, or `stopped` until the user acts. */
  get standing() {
    return this.state.stop ? 'stopped' : this.gate.loggedIn ? 'in' : 'out'
  }

  stopped(event, error) {
    this.requests.note(event)
    this.change({ stop: error })
  }

  watch(sent) {
    if (sent.sessionid) this.sessionid = sent.sessionid
    const ended = this.requests.add(sent)
    return (status, text) => {
      ended(status, text)
      if (this.state.busy && status >= 500) this.change({ retrying: true })
    }
  }

  loggedIn(answer) {
    this.sessionid = answer.sessionid
    this.change({ stop: null, user: answer.user, until: expiry(answer.expiresIn) })
    this.dispatchEvent(new CustomEvent('login', { detail: answer }))
  }

  /** Do `work`, with the buttons off; its error is shown, and so is what it returns: [word, value...]. */
  run(name, work) {
    if (!this.state.busy) this.work = this.doing(name, work)
    return this.work
  }

  async doing(name, work) {
    const { gate } = this
    this.change({ busy: name, slow: false, retrying: false, error: null, said: name === 'check' ? this.state.said : null })
    const slow = setTimeout(() => gate === this.gate && this.change({ slow: true }), SLOW_MS)
    let news
    try {
      const said = await work(gate)
      news = said ? { said } : {}
    } catch (error) {
      if (!error.error) setTimeout(() => { throw error }) // a fault of this page
      const stopped = error.error === gate.stopped && error.error !== 'logged_out'
      news = stopped ? { stop: error } : { error }
    }
    clearTimeout(slow)
    if (gate === this.gate) this.change({ busy: '', ...news })
  }

  logIn() {
    return this.run('login', async (gate) => greeting(await gate.login()))
  }

  logInByPhone() {
    return this.run('phone', async (gate) => {
      const { user } = await gate.loginByPhone(await this.wx.pressPhoneButton())
      return ['phoneUser', user.nickname, user.phone]
    })
  }

  /** Ask what the session is worth now, as a mini-program does when it is opened. */
  check(said) {
    return this.run('check', async (gate) => {
      const { user, expiresIn } = await gate.session()
      this.change({ user: user.nickname ? user : null, until: expiry(expiresIn) })
      return said
    })
  }

  showProducts() {
    return this.run('products', async (gate) => {
      const { products } = answered(await gate.request({ url: '/wx/products/list' }))
      this.change({ products })
    })
  }

  rename(nickname) {
    return this.run('rename', async (gate) => {
      const user = answered(await gate.request({ url: '/me', method: 'PUT', data: { nickname } }))
      this.change({ user: { ...this.state.user, nickname: user.nickname }, renaming: false })
      return ['saved']
    })
  }

  setAvatar(file) {
    return this.run('avatar', async (gate) => {
      const upload = { url: '/me/avatar', filePath: this.wx.takeFile(file), name: 'avatar' }
      const user = answered(await gate.uploadFile(upload))
      this.change({ user: { ...this.state.user, avatar: user.avatar } })
      return ['saved']
    })
  }

  bindPhone() {
    return this.run('bind', async (gate) => {
      const { code } = await this.wx.pressPhoneButton()
      answered(await gate.request({ url: '/me/phone', method: 'PUT', data: { code } }))
      const { user } = await gate.session() // with the number masked
      this.change({ user })
      return ['bound']
    })
  }

  logOut() {
    return this.run('logout', async (gate) => {
      await gate.logout()
      return ['loggedOut']
    })
  }
}

const expiry = (seconds) => new Date(Date.now() + seconds * 1000)
const greeting = ({ isNewUser, user }) => [isNewUser ? 'newUser' : 'oldUser', user.nickname]

/** The data of an answer; throws what the service said instead of them. */
function answered(res) {
  const body = typeof res.data === 'string' ? parsed(res.data) : res.data
  if (body && body.code === 0) return body.data
  throw { error: 'unknown', ...body, message: body && body.msg }
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch (_) {
    return null
  }
}
