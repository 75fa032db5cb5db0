/** What axe finds wrong with a page, in its own words. */
'use strict'

const { source } = require('axe-core')

async function axeFaults(page) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(source)
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document)
    return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 160)}`))
  })
}

module.exports = { axeFaults }
