/* fetch_easy.c - one easy handle of libcurl: what it is told, and how its end is understood.
 *
 * libcurl would resolve names in a thread. So it is told the addresses of the one host that it
 * connects to, in a cache that belongs to this handle alone and ends with it (a share; the multi
 * handle's would keep every name for ever), and a veto stands before its resolver. */
#include "service/fetch_parts.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	IDLE_MOST_S = 90,  /* a kept connection that was not used for so long is not used again */
	LIFE_MOST_S = 600, /* nor an older one: names move */
	CA_KEPT_S = 300,   /* authorities: files are renewed */
	CONNECT_MOST_MS = INT32_MAX
};

/* ---- what libcurl asks for ----------------------------------------------------------------- */

/* Called when libcurl does not know a host's addresses. An IPv6 address cannot be written into
 * CURLOPT_RESOLVE, and needs no resolver. */
static int on_resolve(void *resolver, void *reserved, void *arg)
{
	const struct crew__fetch *fetch = arg;
	(void)resolver;
	(void)reserved;
	return fetch->request.proxy.url ? !fetch->request.proxy.six : !fetch->request.to.six;
}

/* ---- what it is told ----------------------------------------------------------------------- */

/* Options that are not there (another libcurl) or not copied (no memory) come out as one error. */
#define SET(option, value)                                                   \
	do {                                                                 \
		CURLcode set = curl_easy_setopt(fetch->easy, option, value); \
		if (crew__unlikely(set != CURLE_OK))                         \
			return set;                                          \
	} while (0)

static CURLcode tell_always(struct crew__fetch *fetch)
{
	SET(CURLOPT_PRIVATE, fetch);
	SET(CURLOPT_ERRORBUFFER, fetch->curl_why);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	/* HTTP/2 would multiplex, but each stream that on_body holds back may have 32 MiB waiting
	 * inside libcurl; over HTTP/1.1 it is what the kernel holds. */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_USERAGENT, "crew/" CREW_VERSION);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_MAXAGE_CONN, (long)IDLE_MOST_S);
	SET(CURLOPT_MAXLIFETIME_CONN, (long)LIFE_MOST_S);
	SET(CURLOPT_OPENSOCKETFUNCTION, crew__fetch_on_socket);
	SET(CURLOPT_OPENSOCKETDATA, fetch);
	SET(CURLOPT_CLOSESOCKETFUNCTION, crew__fetch_on_socket_close);
	SET(CURLOPT_CLOSESOCKETDATA, fetch->owner);
	SET(CURLOPT_PREREQFUNCTION, crew__fetch_on_connection);
	SET(CURLOPT_PREREQDATA, fetch);
	SET(CURLOPT_HEADERFUNCTION, crew__fetch_on_head);
	SET(CURLOPT_HEADERDATA, fetch);
	SET(CURLOPT_WRITEFUNCTION, crew__fetch_on_body);
	SET(CURLOPT_WRITEDATA, fetch);
	return CURLE_OK;
}

static CURLcode tell_place(struct crew__fetch *fetch)
{
	const struct crew__fetch_request *r = &fetch->request;
	SET(CURLOPT_URL, r->to.url);
	SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	SET(CURLOPT_USERNAME, r->to.user);
	SET(CURLOPT_PASSWORD, r->to.password);
	/* An empty string, unlike none, keeps libcurl from asking the environment. */
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_PROXY, r->proxy.url ? r->proxy.url : "");
	SET(CURLOPT_PROXYAUTH, (long)CURLAUTH_BASIC);
	SET(CURLOPT_SOCKS5_AUTH, (long)CURLAUTH_BASIC); /* that of GSS-API blocks */
	SET(CURLOPT_PROXYUSERNAME, r->proxy.user);
	SET(CURLOPT_PROXYPASSWORD, r->proxy.password);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	return CURLE_OK;
}

static CURLcode tell_names(struct crew__fetch *fetch)
{
	uint64_t now = crew__loop_ns(fetch->owner->loop);
	long ms = CONNECT_MOST_MS;
	if (fetch->connect_ns < CREW__FETCH_NEVER) {
		uint64_t left = fetch->connect_ns > now ? fetch->connect_ns - now : 0;
		ms = (long)(left / CREW__NS_PER_MS) + 1;
	}
	SET(CURLOPT_CONNECTTIMEOUT_MS, ms);
	SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
	SET(CURLOPT_RESOLVER_START_DATA, fetch);
	SET(CURLOPT_SHARE, fetch->share);
	SET(CURLOPT_RESOLVE, fetch->resolve);
	return CURLE_OK;
}

static CURLcode tell_tls(struct crew__fetch *fetch)
{
	const struct crew__fetch_request *r = &fetch->request;
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, r->tls_insecure ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, r->tls_insecure ? 0L : 2L);
	/* Authorities from one file are kept by libcurl, instead of read for each connection. */
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_KEPT_S);
	if (r->tls_ca)
		SET(CURLOPT_CAINFO, r->tls_ca);
	SET(CURLOPT_SSLCERT, r->tls_cert);
	SET(CURLOPT_SSLKEY, r->tls_key);
	return CURLE_OK;
}

static bool has_length(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	       strcmp(method, "PATCH") == 0;
}

/* A request whose method is expected to have a body says that it is empty (RFC 9110 section 8.6).
 */
static CURLcode tell_request(struct crew__fetch *fetch)
{
	const struct crew__fetch_request *r = &fetch->request;
	if (r->source != CREW__FROM_NOWHERE || has_length(r->method)) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->size);
		SET(CURLOPT_READFUNCTION, crew__fetch_on_read);
		SET(CURLOPT_READDATA, fetch);
		SET(CURLOPT_SEEKFUNCTION, crew__fetch_on_seek);
		SET(CURLOPT_SEEKDATA, fetch);
	} else if (strcmp(r->method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	} else {
		SET(CURLOPT_HTTPGET, 1L);
	}
	SET(CURLOPT_CUSTOMREQUEST, r->method);
	SET(CURLOPT_HTTPHEADER, r->headers);
	if (!r->compressed_as_is)
		SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
	return CURLE_OK;
}

#undef SET

static CURLcode tell_all(struct crew__fetch *fetch)
{
	CURLcode code = tell_always(fetch);
	if (!code)
		code = tell_place(fetch);
	if (!code)
		code = tell_names(fetch);
	if (!code)
		code = tell_tls(fetch);
	return code ? code : tell_request(fetch);
}

/* "HOST:PORT:ADDRESS,ADDRESS": without a `+`, so that it stays as long as its cache. */
static int make_resolve(struct crew__fetch *fetch)
{
	const struct crew__fetch_request *r = &fetch->request;
	const struct crew__fetch_place *to = r->proxy.url ? &r->proxy : &r->to;
	char *text;
	if (to->six)
		return 0;
	if (asprintf(&text, "%s:%u:%s", to->host, to->port, fetch->addresses) < 0)
		return -ENOMEM;
	fetch->resolve = curl_slist_append(NULL, text);
	free(text);
	return fetch->resolve ? 0 : -ENOMEM;
}

int crew__fetch_easy_init(struct crew__fetch *fetch)
{
	crew__fetch_easy_fini(fetch);
	crew__fetch_answer_fini(fetch);
	crew__fetch_answer_init(fetch);
	fetch->curl_why[0] = '\0';
	fetch->opened = fetch->stale = false;
	fetch->easy = curl_easy_init();
	fetch->share = curl_share_init();
	if (!fetch->easy || !fetch->share || make_resolve(fetch) < 0)
		return -ENOMEM;
	if (curl_share_setopt(fetch->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK)
		return -ENOMEM;
	CURLcode code = tell_all(fetch);
	if (code)
		return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO;
	return 0;
}

void crew__fetch_easy_fini(struct crew__fetch *fetch)
{
	if (fetch->easy)
		curl_easy_cleanup(fetch->easy);
	if (fetch->share)
		curl_share_cleanup(fetch->share);
	curl_slist_free_all(fetch->resolve);
	fetch->easy = NULL;
	fetch->share = NULL;
	fetch->resolve = NULL;
}

/* ---- how it ended -------------------------------------------------------------------------- */

static int connect_error(const struct crew__fetch *fetch)
{
	long code = 0;
	curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &code);
	if (code == ETIMEDOUT)
		return -ETIMEDOUT;
	return code == ECONNREFUSED ? -ECONNREFUSED : -EIO;
}

/* Without an error of the system it is what came that cannot be read: chunks that are none, a TLS
 * stream that is cut off. */
static int receive_error(const struct crew__fetch *fetch)
{
	long code = 0, tunnel = 0;
	curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &code);
	curl_easy_getinfo(fetch->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
	bool refused = tunnel >= 300; /* a proxy's word, well said */
	return code == 0 && !refused ? -EPROTO : -EIO;
}

static int error_of(const struct crew__fetch *fetch, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return connect_error(fetch);
	case CURLE_RECV_ERROR:
		return receive_error(fetch);
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return -EACCES;
	case CURLE_UNSUPPORTED_PROTOCOL:  /* an answer of HTTP/0.9 */
	case CURLE_BAD_FUNCTION_ARGUMENT: /* fields that are none; ours were checked */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return -EPROTO;
	default:
		return -EIO;
	}
}

static void fail(struct crew__fetch *fetch, CURLcode code)
{
	const struct crew__fetch_request *r = &fetch->request;
	const char *why = fetch->curl_why[0] ? fetch->curl_why : curl_easy_strerror(code);
	if (code == CURLE_COULDNT_CONNECT)
		crew__fetch_names_forget(
			&fetch->owner->names, r->proxy.url ? r->proxy.host : r->to.host);
	crew__fetch_over(fetch, error_of(fetch, code), "%s", why);
}

static void follow(struct crew__fetch *fetch)
{
	char why[CREW__FETCH_WHY] = "no memory to follow the redirect";
	crew_bytes location = crew__fetch_field(fetch, "location");
	int error = crew__fetch_redirect(&fetch->request, fetch->answer.status, location.data, why);
	crew__fetch_drop(fetch);
	if (error) {
		crew__fetch_over(fetch, error, "%s", why);
		return;
	}
	fetch->redirected++;
	crew__fetch_begin(fetch);
}

/* Nothing of it was sent, and the connection that was no good has gone. */
static void begin_anew(struct crew__fetch *fetch)
{
	crew__fetch_drop(fetch);
	crew__fetch_begin(fetch);
}

void crew__fetch_easy_done(struct crew__fetch *fetch, CURLcode code)
{
	if (fetch->state != CREW__FETCH_CARRIED)
		return; /* it has ended already: its handle goes when that is told */
	if (fetch->stale)
		begin_anew(fetch);
	else if (fetch->answer.following)
		follow(fetch);
	else if (code)
		fail(fetch, code);
	else if (!fetch->answer.final)
		crew__fetch_over(fetch, -EPROTO, "the server ended without an answer");
	else
		crew__fetch_over(fetch, 0, "done");
}
