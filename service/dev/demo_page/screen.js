/** What a phone shows: all of it follows from the phone's state. */

import { explain } from './errors.js'
import { language, momentOf, t, timeOf } from './language.js'

const PRICE = new Intl.NumberFormat('zh-CN', { style: 'currency', currency: 'CNY' })

export class Screen {
  constructor(root) {
    this.root = root
    this.find = (selector) => root.querySelector(selector)
  }

  show(phone) {
    const { busy, stop } = phone.state
    const inside = phone.gate.loggedIn
    this.find('.screen').setAttribute('aria-busy', String(Boolean(busy)))
    for (const button of this.root.querySelectorAll('.content button')) button.setAttribute('aria-disabled', String(Boolean(busy)))
    this.find('.avatar input').disabled = Boolean(busy)
    this.showStanding(phone.standing, stop)
    this.showTold(stop)
    this.showNotice(phone.state)
    this.find('.welcome').hidden = inside || Boolean(stop)
    this.find('.me').hidden = !inside
    this.find('[data-act=logout]').hidden = !inside
    this.find('[data-act=products]').hidden = Boolean(stop)
    if (inside) this.showMe(phone.state)
    this.showGoods(phone.state.products)
    this.find('.shelf').hidden = !inside || Boolean(stop || phone.state.products)
  }

  showStanding(standing, stop) {
    const replaced = stop && stop.error === 'session_replaced'
    const words = { in: 'standingIn', out: 'standingOut', stopped: replaced ? 'standingReplaced' : 'standingStopped' }
    this.find('.standing').className = `standing ${standing}`
    this.find('.standing .dot').className = `dot ${standing}`
    this.find('.standing span').textContent = t(words[standing])
  }

  showTold(stop) {
    const told = this.find('.told')
    told.hidden = !stop
    if (!stop) return
    const [what, next] = explain(stop, language())
    this.find('.told-what').textContent = what
    this.find('.told-when').textContent = when(stop.data || {})
    this.find('.told-hint').textContent = stop.error === 'session_replaced' ? t('replacedHint') : next
  }

  showNotice({ busy, slow, retrying, error, said }) {
    const notice = this.find('.notice')
    const lines = []
    if (busy) lines.push(t(retrying ? 'retrying' : slow ? 'slow' : 'waiting'))
    else if (error) lines.push(...explain(error, language()))
    else if (said) lines.push(t(...said))
    notice.className = `notice ${busy ? 'busy' : error ? 'bad' : 'good'}`
    const shown = lines.filter(Boolean).map((text, place) => {
      const line = document.createElement(place || busy || !error ? 'span' : 'strong')
      line.textContent = text
      return line
    })
    // Said again to a screen reader only if it is something else.
    if (notice.textContent !== shown.map((one) => one.textContent).join('')) notice.replaceChildren(...shown)
  }

  showMe({ user, until, renaming }) {
    this.find('.avatar').hidden = !user
    this.find('.rename').hidden = !user || !renaming
    this.find('.name').hidden = Boolean(user && renaming)
    this.find('.name strong').textContent = user ? user.nickname : t('profileAway')
    this.find('[data-act=rename]').hidden = !user
    this.find('.number').hidden = !user
    if (user) {
      const image = this.find('.avatar img')
      if (image.getAttribute('src') !== user.avatar) image.src = user.avatar
      this.find('.number span').textContent = user.phone || t('noNumber')
      this.find('[data-act=bind]').hidden = Boolean(user.phone)
    }
    this.find('.until').textContent = until ? t('until', timeOf(until).slice(0, 5)) : ''
  }

  showGoods(products) {
    const goods = this.find('.goods')
    goods.hidden = !products
    const lines = (products || []).map((product) => {
      const item = document.createElement('li')
      item.append(
        piece('picture', product.name[0]),
        piece('product', product.name),
        piece('price', PRICE.format(product.priceFen / 100))
      )
      item.firstChild.setAttribute('aria-hidden', 'true')
      return item
    })
    goods.replaceChildren(...lines)
  }
}

/** When it was, and until when it holds: both Unix seconds, if they are known. */
function when({ at, until }) {
  const moment = (seconds) => momentOf(new Date(seconds * 1000))
  return [at && t('toldWhen', moment(at)), until && t('toldUntil', moment(until))].filter(Boolean).join(language() === 'zh' ? '，' : ', ')
}

function piece(name, text) {
  const span = document.createElement('span')
  span.className = name
  span.textContent = text
  return span
}
