/** The line under the header: what is wrong at this moment, in every view. */

import { say } from './element.js'
import { componentName } from './health.js'
import { oneOf, onLanguage, t } from './language.js'
import { explain } from './notice.js'
import { clock } from './time.js'

export class Standing {
  constructor(place, feed) {
    Object.assign(this, { place, feed, what: place.querySelector('.standing-what'), retry: place.querySelector('[data-act=retry]') })
    this.retry.addEventListener('click', () => feed.look())
    feed.addEventListener('change', () => this.show())
    onLanguage(() => this.show())
  }

  show() {
    const { overview, fault } = this.feed
    this.place.hidden = !overview
    this.retry.hidden = !fault
    if (!overview) return say(this.what, '')
    const { kind, text } = fault ? this.away(fault) : judge(overview)
    this.place.className = `standing ${kind}`
    say(this.what, text)
  }

  away(fault) {
    const [reason] = explain(fault)
    return { kind: 'bad', text: fault.error === 'no_answer' ? t('noAnswerSince', clock(this.feed.answeredAt)) : t('errorSince', clock(this.feed.answeredAt), reason) }
  }
}

function judge({ components, service }) {
  const ailing = components.filter(({ state }) => state !== 'ready')
  const down = ailing.some(({ state }) => state === 'down')
  const told = ailing.map(({ component, state, reason, since }) =>
    t('ailing', componentName(component), oneOf('states', state), reason && oneOf('reasons', reason), since && clock(since)))
  if (service.stopping) told.push(t('stopping'))
  if (!told.length) return { kind: 'good', text: t('allWell') }
  return { kind: down ? 'bad' : 'warn', text: told.join(t('andThen')) }
}
