/** Tables that become a list of cards where there is no room: the roles keep saying what is what. */

import { el } from './element.js'
import { t } from './language.js'

/**
 * `columns`: [name of its words, cell of a row][]; `rows` may be anything. A cell of null is empty.
 * The first column names the row. `label` is the name of the table's words. `dense`: there
 * is always room for it.
 */
export function table(label, columns, rows, { dense = false } = {}) {
  const heads = columns.map(([words]) => el('th', { role: 'columnheader', scope: 'col', t: words }))
  const lines = rows.map((row) =>
    el('tr', { role: 'row' }, columns.map(([words, cell], place) => {
      const name = place ? 'td' : 'th'
      const role = place ? 'cell' : 'rowheader'
      const content = cell(row)
      const kind = content === null ? 'empty' : null
      return el(name, { role, scope: place ? null : 'row', class: kind, 'data-label': t(words) }, content ?? '–')
    }))
  )
  return el('table', { role: 'table', class: dense ? 'dense' : null, tLabel: label },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, heads)),
    el('tbody', { role: 'rowgroup' }, lines))
}

/** The table, or words where it would be empty. */
export const tableOr = (empty, ...given) => (given[2].length ? table(...given) : el('p', { class: 'none', t: empty }))
