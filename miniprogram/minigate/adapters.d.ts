import { Api, Platform } from './index'

export function forWx(wx: Api): Platform
export function forUni(uni: Api): Platform
export function forTaro(Taro: Api): Platform
