import { promisify } from 'node:util';
import { gunzip as gunzipCallback } from 'node:zlib';
import { errors, StatusError } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { Paths } from '../http/paths.ts';
import { parseRequest } from '../request/parse.ts';
import type { Pipeline } from '../request/pipeline.ts';

const gunzip = promisify(gunzipCallback);

export type RawRequest = (
  user: UserInfo,
  method: string,
  path: string,
  options: { body?: string; contentType?: string; signal?: AbortSignal | undefined },
) => Promise<string>;

/** Non-resource paths for clients in this process: authorized as over TLS; GET only. */
export function rawRequests(pipeline: Pipeline, paths: Paths): RawRequest {
  return async (user, method, url, options) => {
    options.signal?.throwIfAborted();
    const [path = '/', search = ''] = url.split('?', 2);
    const query = new URLSearchParams(search);
    const info = parseRequest(method, path, query);
    if (info.isResource) {
      throw errors.badRequest(`${path} is a resource: use the client's own calls for it in this process`);
    }
    await pipeline.authorize(user, info);
    const answer = await paths.answer(method, info.path, query, user);
    if ((answer.status ?? 200) >= 400)
      throw new StatusError(answer.status as number, '', String(answer.body));
    if (answer.encoding === 'gzip') return (await gunzip(answer.body)).toString('utf8');
    return typeof answer.body === 'string' ? answer.body : Buffer.from(answer.body).toString('utf8');
  };
}
