/* fetch.h - HTTP requests that the program makes itself. Included by <crew/crew.h>, whose rules hold.
 *
 * One call, one answer: on_done comes exactly once for each crew_fetch() that returned an id. Connections
 * are kept and used again; names are resolved by crew's own resolver; there is no thread. */
#ifndef CREW_FETCH_H
#define CREW_FETCH_H

#include <crew/crew.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What came of a request. All of it is valid until the callback returns. */
typedef struct crew_fetched {
	int64_t id;
	int error;             /* 0: there is an answer, whatever its status. -ETIMEDOUT, -ECONNREFUSED,
	                        * -ENOENT (no such name), -ECANCELED (crew_fetch_stop, a callback gave up, or
	                        * the worker ends), -EMSGSIZE (longer than max_body, or the head than
	                        * 128 KiB), -EPROTO (an answer that is none or is cut short, a redirect that
	                        * must not be followed), -EACCES (a certificate that is not good), -EINVAL
	                        * (on_upload told nonsense), -ENOMEM, -EIO (what else) */
	const char *why;       /* of an error: a sentence; NULL without */
	int status;            /* 200; 0 when there is no answer; with an error that of the head that came */
	const char *url;       /* of the last answer, redirects followed */
	unsigned redirects;
	crew_bytes body;       /* decompressed; empty with on_body, and with an error */
	const crew_header *headers; /* of the last answer, names in lower case */
	size_t header_count;
	uint64_t elapsed_ms;
} crew_fetched;

/* The value of a field of the answer; data NULL when there is none. `name` in lower case. */
CREW_API crew_bytes crew_fetched_header(const crew_fetched *f, const char *name);

struct crew_fetch_options {
	const char *method;         /* GET; POST with a body */
	const crew_header *headers; /* ended by a NULL name; NULL: none. Not those that crew sets itself:
	                             * Content-Length, Transfer-Encoding, Connection, Expect, ... */
	crew_bytes body;            /* what is sent; copied. No Content-Type is made up for it */
	const char *body_file;      /* a file to send instead */
	/* The body as it is made: put up to `size` bytes at `room` and return how many, 0 at the end,
	 * -EAGAIN: not yet (crew_fetch_resume goes on), another negative errno: give up. */
	int64_t (*on_upload)(int64_t id, char *room, size_t size, void *arg);
	int64_t upload_size;        /* of on_upload: 0: unknown, sent in chunks */
	/* The answer's body as it comes. -EAGAIN: not now, the same part comes again after
	 * crew_fetch_resume(); another negative return gives up (-ECANCELED). NULL: it is gathered. */
	int (*on_body)(int64_t id, int status, crew_bytes part, void *arg);
	void (*on_done)(const crew_fetched *f, void *arg); /* NULL: nobody wants to know */
	void *arg;
	int64_t timeout_ms;         /* 60 s for all of it; CREW_OFF */
	int64_t connect_timeout_ms; /* 10 s for names, connecting and TLS, anew for each redirect; CREW_OFF */
	int64_t max_body;           /* 8 MiB, decompressed; CREW_OFF with on_body only */
	int redirects;              /* 10 are followed, none from https to http; CREW_OFF: none, a redirect
	                             * is an answer like others */
	const char *proxy;          /* "http://[USER:PASSWORD@]HOST:PORT", "socks5://...", which resolves the
	                             * URL's name; NULL: none, whatever the environment says */
	const char *tls_ca;         /* as in crew_connect_options */
	const char *tls_cert, *tls_key;
	bool tls_insecure;
	bool compressed_as_is;      /* do not ask for compression, do not undo it */
};

/* Ask for "http://..." or "https://...". An id > 0; -EINVAL (the log says what of it), what opening
 * body_file says (-ENOENT, -EACCES, ...), -EBUSY (fetches_most are under way), -ENOMEM, -ENOTCONN (no
 * worker runs here, or it has stopped). `options` NULL: a GET whose answer nobody wants. Strings and body
 * are copied. A worker that stops waits for what is under way, as for connections. */
CREW_API int64_t crew_fetch(const char *url, const crew_fetch_options *options);
/* on_upload has more, or on_body may go on. -ENOENT. */
CREW_API int crew_fetch_resume(int64_t id);
/* Give up: on_done comes with -ECANCELED, not from inside this call. -ENOENT. */
CREW_API int crew_fetch_stop(int64_t id);

#ifdef __cplusplus
}
#endif
#endif
