/** A page that needs a session, and does nothing about it: the gate logs in by itself. */
const { dataOf, gate } = require('../../gate.js')
const { messageOf, texts } = require('../../texts.js')

Component({
  data: { t: texts, products: [], problem: '', stopped: false },

  lifetimes: {
    attached() {
      this.load()
    },
  },

  methods: {
    async load() {
      try {
        const { products } = dataOf(await gate.request({ url: '/wx/products/list' }))
        const priced = products.map(({ id, name, priceFen }) => {
          return { id, name, price: (priceFen / 100).toFixed(2) }
        })
        this.setData({ products: priced, problem: '', stopped: false })
      } catch (error) {
        const replaced = gate.stopped === 'session_replaced'
        const problem = replaced ? texts.elsewhere : gate.stopped ? texts.ended : messageOf(error)
        this.setData({ products: [], problem, stopped: Boolean(gate.stopped) })
      }
    },

    /** The user wants to go on here; the other device is told so in its turn. */
    async onLogin() {
      await gate.login().catch((error) => wx.showToast({ title: messageOf(error), icon: 'none' }))
      await this.load()
    },
  },
})
