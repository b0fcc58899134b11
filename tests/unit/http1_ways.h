/* http1_ways.h - what the tests of the HTTP/1 parser share: a stream of requests is fed in every
 * way of cutting it, and what comes out is written down as text. */
#ifndef CREW_TESTS_HTTP1_WAYS_H
#define CREW_TESTS_HTTP1_WAYS_H

#include "proto/http1.h"

enum {
	HTTP1_LIMIT = 1000
}; /* max_message in all of them */

/* Feed `input` in every way; each must come to `expected`, which is, for each request,
 *   METHOD path?query host version [close] [ws] [expect] fields body;
 * (`fields` is how many; the body in brackets, each trailer behind it as {name=value}) and then
 * what stopped it: nothing when all is taken, "more", or the status. Bodies are gathered, and taken
 * in parts. */
void http1_expect(const char *input, size_t len, const char *expected);

/* As above for one that is only refused or taken: 0 for one whole request with nothing behind it.
 */
void http1_expect_status(const char *input, size_t len, int status);

/* Whatever `input` comes to, it is the same in every way. True when some of it was taken. */
bool http1_same(const char *input, size_t len);

/* In one piece, which need not end with the request. The request's fields point into `copy`. */
enum crew__http1_result http1_once(char *copy, size_t len, struct crew__http1_request *request,
	size_t *ret_consumed, int *ret_status);

#endif
