/** The page: locked, or one view at a time. */

import { forget, whenRefused } from './api.js'
import { closeAll } from './dialog.js'
import { say } from './element.js'
import { Events } from './events.js'
import { Feed } from './feed.js'
import { choose, language, onLanguage, t } from './language.js'
import { Lock } from './lock.js'
import { quiet } from './notice.js'
import { Overview } from './overview.js'
import { Sessions } from './sessions.js'
import { Settings } from './settings.js'
import { Standing } from './standing.js'
import { startTheme } from './theme.js'
import { zone } from './time.js'
import { UserPage } from './user.js'
import { Users } from './users.js'

const VIEWS = { overview: Overview, users: Users, events: Events, sessions: Sessions, settings: Settings }
const find = (selector) => document.querySelector(selector)

const place = find('.view')
const feed = new Feed()
const lock = new Lock({ onOpen: open })
let view = null
let isOpen = false

new Standing(find('.standing'), feed)
whenRefused((fault) => close(fault))
startTheme(find('[data-act=theme]'))
find('[data-act=lock]').addEventListener('click', () => close())
find('.skip').addEventListener('click', (event) => {
  event.preventDefault() // the place in the address belongs to the views
  find('#main').focus()
})
addEventListener('hashchange', () => isOpen && show())
for (const button of document.querySelectorAll('[data-language]')) {
  button.addEventListener('click', () => choose(button.dataset.language))
}
onLanguage(relabel)
choose(language())
close()

function open(overview) {
  isOpen = true
  feed.start(overview)
  feed.dispatchEvent(new Event('change'))
  show()
}

/** Forget the secret and all that it showed. */
function close(fault) {
  isOpen = false
  forget()
  feed.stop()
  feed.dispatchEvent(new Event('change'))
  closeAll()
  quiet()
  leave()
  setChrome()
  place.replaceChildren(lock.root)
  lock.show(fault)
}

/** The view that the address names. */
function show() {
  const [name, id] = location.hash.replace(/^#\/?/, '').split('/')
  const known = Object.hasOwn(VIEWS, name) ? name : 'overview'
  quiet()
  leave()
  const given = { feed, id: decode(id || '') }
  view = known === 'users' && id ? new UserPage(given) : new VIEWS[known](given)
  setChrome(known)
  place.replaceChildren(view.root)
  relabel()
  scrollTo(0, 0)
  view.root.querySelector('h2').focus({ preventScroll: true })
}

function leave() {
  if (view && view.close) view.close()
  view = null
}

function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch (_) {
    return text
  }
}

/** What stands around the views, which of them is marked. */
function setChrome(current) {
  for (const part of [find('nav'), find('[data-act=lock]')]) part.hidden = !isOpen
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#/${current}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
}

function relabel() {
  const current = find('nav [aria-current]')
  document.title = [current && isOpen ? current.textContent : '', t('title')].filter(Boolean).join(' · ')
  say(find('footer'), t('timesIn', zone()))
  if (view && view.paint) view.paint()
  else if (!isOpen) lock.paint()
}
