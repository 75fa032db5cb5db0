/** Why sessions of a user ended, as the service explains it. */

import { el } from './element.js'
import { language, t } from './language.js'
import { time } from './time.js'

const SHOWN = 5

/** The newest first; what is older is folded. */
export function endings(found) {
  const list = (ends) => el('ul', { class: 'why' }, ends.map(ending))
  const older = found.slice(SHOWN)
  return el('div', {}, list(found.slice(0, SHOWN)),
    older.length ? el('details', {}, el('summary', {}, t('olderEndings', older.length)), list(older)) : null)
}

const ending = (end) => el('li', {}, el('span', { class: 'soft' }, time(end.at)), ' ', end[language()], ' ', el('code', { class: 'soft' }, end.handle))
