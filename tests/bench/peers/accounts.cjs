// Users in SQLite, for both peers in Node: the code of node:sqlite, as a package, so that Node 20 has it.
'use strict'

const { randomBytes } = require('node:crypto')
const { DatabaseSync } = require('@photostructure/sqlite')
const { NICKNAME, AVATAR } = require('./shared.cjs')

const { DATABASE, WECHAT_APPID } = process.env

const database = new DatabaseSync(DATABASE)
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    appid TEXT NOT NULL,
    openid TEXT NOT NULL,
    nickname TEXT NOT NULL,
    avatar TEXT NOT NULL,
    phone TEXT,
    UNIQUE (appid, openid)
  )
`)
const select = database.prepare('SELECT id, nickname, avatar, phone FROM users WHERE appid = ? AND openid = ?')
const insert = database.prepare(`
  INSERT INTO users (id, appid, openid, nickname, avatar) VALUES (?, ?, ?, ?, ?) ON CONFLICT (appid, openid) DO NOTHING
`)

function findOrCreate({ openid }) {
  const known = select.get(WECHAT_APPID, openid)
  if (known) return known
  const { changes } = insert.run(randomBytes(8).toString('hex'), WECHAT_APPID, openid, NICKNAME, AVATAR)
  return { ...select.get(WECHAT_APPID, openid), isNew: changes > 0 }
}

// Its statements do not keep it: once nobody refers to it, the collector closes it.
module.exports = { database, findOrCreate }
