/** The way from one phone to the other on a narrow page, and how each of them stands. */

import { t } from './language.js'

export class Jump {
  constructor(root) {
    this.root = root
    root.hidden = false
  }

  showPhone(phone) {
    const link = this.root.querySelector(`[href="#phone-${phone.letter}"]`)
    link.querySelector('.dot').className = `dot ${phone.standing}`
    link.querySelector('span').textContent = t('phoneName', phone.letter)
  }

  showPanel(broken) {
    this.root.querySelector('[href="#panel"] .dot').className = `dot ${broken ? 'broken' : 'in'}`
  }
}
