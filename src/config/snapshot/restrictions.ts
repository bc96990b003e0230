import { allProviders } from './endpoint-auth.js';
import type { RouteSnapshot, Snapshot, ViewSnapshot } from './index.js';

/** Whether a route is hidden from clients that do not meet its requirements. */
export function isHiding({ permissions, requiredScopes, whenDenied }: RouteSnapshot): boolean {
  return whenDenied === 'hide' && requiredScopes.length + permissions.length > 0;
}

/** Whether what is listed depends on who asks: otherwise lists are the same for all. */
export function restrictsLists(config: Pick<Snapshot, 'auth' | 'routes' | 'views'>): boolean {
  return config.routes.some(isHiding) && allProviders(config).length > 0;
}

/** Whether a view was removed. @param number its position in `Snapshot.views` */
export function isRemovedView(views: readonly ViewSnapshot[], number: number): boolean {
  return number > 0 && (views[number]?.base ?? '') === '';
}
