/** Logging in and out, and the user's own record. */
const { addressOf, dataOf, gate, simulatedPhoneCode } = require('../../gate.js')
const { messageOf, texts } = require('../../texts.js')

/** Why there is no session, where that is not the user's own doing. */
function noticeOf(stopped, message) {
  if (!stopped || stopped === 'logged_out') return ''
  return stopped === 'session_replaced' ? texts.elsewhere : message || texts.ended
}

Component({
  data: {
    t: texts,
    simulated: Boolean(simulatedPhoneCode),
    busy: false,
    notice: '',
    user: null,
  },

  lifetimes: {
    attached() {
      const end = (error) => this.setData({ user: null, notice: noticeOf(error.error, error.message) })
      this.offs = ['replaced', 'kicked', 'banned'].map((event) => gate.on(event, end))
      this.offs.push(gate.on('login', () => this.load())) // here or on another page
      this.setData({ notice: noticeOf(gate.stopped) })
      if (gate.loggedIn) this.load()
      else this.offerLogin()
    },
    detached() {
      this.offs.forEach((off) => off())
    },
  },

  methods: {
    /** One thing at a time, and every failure shown once. */
    async attempt(work) {
      if (this.data.busy) return
      this.setData({ busy: true })
      await work().catch((error) => this.complain(error))
      this.setData({ busy: false })
    },

    complain(error) {
      if (error.error === gate.stopped) return // the card says it already
      wx.showToast({ title: messageOf(error), icon: 'none' })
    },

    offerLogin() {
      // The code must be there before the phone number button's callback.
      gate.prepareLogin()
    },

    async load() {
      try {
        this.show(dataOf(await gate.request({ url: '/me' })))
      } catch (error) {
        this.complain(error)
      }
    },

    show(user) {
      const avatar = addressOf(user.avatar)
      this.setData({ notice: '', user: Object.assign({}, user, { avatar }) })
    },

    onLogin() {
      return this.attempt(() => gate.login())
    },

    onGetPhoneNumber(event) {
      if (!event.detail.code) return this.offerLogin() // the user said no
      return this.loginByPhone(async () => event.detail)
    },

    onSimulatedPhone() {
      return this.loginByPhone(async () => ({ code: await simulatedPhoneCode() }))
    },

    loginByPhone(press) {
      return this.attempt(async () => gate.loginByPhone(await press()))
    },

    onChooseAvatar(event) {
      return this.attempt(async () => {
        const filePath = event.detail.avatarUrl
        this.show(dataOf(await gate.uploadFile({ url: '/me/avatar', filePath, name: 'avatar' })))
      })
    },

    onSaveNickname(event) {
      // From the form and not from an input event: WeChat may empty an unfit nickname after the input.
      const { nickname } = event.detail.value
      return this.attempt(async () => {
        this.show(dataOf(await gate.request({ url: '/me', method: 'PUT', data: { nickname } })))
        wx.showToast({ title: texts.saved })
      })
    },

    onOpenProducts() {
      wx.navigateTo({ url: '/demo/pages/products/products' })
    },

    onLogout() {
      return this.attempt(async () => {
        this.setData({ user: null, notice: '' })
        this.offerLogin()
        await gate.logout()
      })
    },
  },
})
