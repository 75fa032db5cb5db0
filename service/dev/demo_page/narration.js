/** What the list of requests says: what was asked, and what came of it, each in a few words. */

import { language } from './language.js'

const ASKED = {
  'POST /sim/login': ['向微信要登录凭证', 'Ask WeChat for a login code'],
  'POST /sim/phone': ['向微信要手机号凭证', 'Ask WeChat for a phone code'],
  'POST /login': ['用凭证登录', 'Log in with the code'],
  'POST /login/phone': ['用手机号登录', 'Log in by phone number'],
  'POST /logout': ['退出登录', 'Log out'],
  'GET /session': ['询问会话是否还有效', 'Ask if the session holds'],
  'GET /wx/products/list': ['查看商品', 'Ask for the products'],
  'PUT /me': ['修改昵称', 'Change the nickname'],
  'POST /me/avatar': ['上传头像', 'Send a picture'],
  'PUT /me/phone': ['绑定手机号', 'Add the phone number'],
}

const FAILED = {
  session_replaced: ['会话已被取代', 'session replaced'],
  session_expired: ['会话已失效', 'session has ended'],
  session_kicked: ['会话被管理员结束', 'session ended by operator'],
  session_missing: ['没有会话', 'no session'],
  user_banned: ['账号被封禁', 'account banned'],
  wechat_user_blocked: ['微信拒绝该账号', 'blocked by WeChat'],
  wechat_unavailable: ['微信没有应答', 'WeChat did not answer'],
  rate_limited: ['过于频繁', 'too many requests'],
  wechat_rate_limited: ['微信限流', 'WeChat wants fewer'],
  wechat_busy: ['等待微信的人太多', 'too many wait for WeChat'],
  session_store_unavailable: ['Redis 没有应答', 'Redis did not answer'],
  user_store_unavailable: ['数据库没有应答', 'database did not answer'],
  login_code_used: ['凭证已用过', 'code already used'],
  login_code_invalid: ['凭证无效', 'code not valid'],
  phone_taken: ['手机号属于别人', 'number of another account'],
  nickname_empty: ['昵称为空', 'nickname is empty'],
  nickname_too_long: ['昵称太长', 'nickname too long'],
  nickname_invisible: ['昵称有看不见的字符', 'nickname hides characters'],
  nickname_rejected: ['微信不允许该昵称', 'nickname refused by WeChat'],
  nickname_unusable: ['该昵称不可用', 'nickname cannot be used'],
  invalid_request: ['内容不合要求', 'not accepted'],
  login_too_old: ['需要重新登录', 'wants a fresh login'],
  pictures_busy: ['排队的图片太多', 'too many pictures wait'],
  body_too_large: ['文件太大', 'file too large'],
}

const EVENTS = {
  replaced: ['客户端事件 replaced：停止自动登录，告诉用户', 'Client event replaced: no more silent logins, the user is told'],
  kicked: ['客户端事件 kicked：停止自动登录，告诉用户', 'Client event kicked: no more silent logins, the user is told'],
  banned: ['客户端事件 banned：停止自动登录，告诉用户', 'Client event banned: no more silent logins, the user is told'],
}

const OPEN = ['等待中…', 'waiting…']
const DONE = ['成功', 'done']
const REFUSED = ['未成功', 'failed']
const SILENT = ['没有应答', 'no answer']
const GAINED = ['得到会话', 'session gained']
const CARRIED = ['会话', 'session']

const said = ([zh, en]) => (language() === 'zh' ? zh : en)

export const asked = ({ method, path }) => said(ASKED[`${method} ${path}`] || [path, path])
export const happened = (event) => said(EVENTS[event])
export const gained = () => said(GAINED)
export const carried = () => said(CARRIED)

export function outcome({ status, error }) {
  if (status === null) return said(OPEN)
  if (!status) return said(SILENT)
  if (status < 400 && !error) return said(DONE)
  return said(FAILED[error] || REFUSED)
}
