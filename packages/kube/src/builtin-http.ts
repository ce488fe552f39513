/**
 * Node's `node:http`, without the 25 ms that importing it costs every process at its start: an import reads all
 * members of the module, and some of them (`WebSocket`) load Node's whole fetch client when they are read.
 */
export const { createServer, request, STATUS_CODES } = process.getBuiltinModule('node:http');
