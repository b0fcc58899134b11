/* page.c - the dashboard, built in; its scripts and styles are known by hash, so that whatever a
 * stranger might get into it is neither run nor fetched (https://www.w3.org/TR/CSP3/). */
#include "admin/page.h"

#include "admin/dashboard_page.h" /* made from dashboard.html */

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *at;
	size_t left;
};

static void put(struct text *to, const char *from)
{
	size_t length = strlen(from);
	if (length >= to->left) {
		to->left = 0;
		return;
	}
	memcpy(to->at, from, length + 1);
	to->at += length;
	to->left -= length;
}

/* What stands between the next `open` of the page and the `close` behind it. */
static bool next_part(crew_bytes *page, const char *open, const char *close, crew_bytes *ret_part)
{
	const char *begin = !page->len ? NULL : memmem(page->data, page->len, open, strlen(open));
	if (!begin)
		return false;
	begin += strlen(open);
	size_t left = page->len - (size_t)(begin - page->data);
	const char *end = memmem(begin, left, close, strlen(close));
	if (!end)
		return false;
	*ret_part = (crew_bytes){ begin, (size_t)(end - begin) };
	*page = (crew_bytes){ end, left - ret_part->len };
	return true;
}

static void put_hashes(struct text *to, crew_bytes page, const char *open, const char *close)
{
	unsigned char digest[SHA256_DIGEST_LENGTH], code[64];
	crew_bytes part;
	while (next_part(&page, open, close, &part)) {
		SHA256((const unsigned char *)part.data, part.len, digest);
		EVP_EncodeBlock(code, digest, sizeof(digest));
		put(to, " 'sha256-");
		put(to, (const char *)code);
		put(to, "'");
	}
}

/* Older browsers do not take 'self' for WebSockets; what the client calls us is written out for
 * them, unless it is more than a name and a port. */
static void put_sockets(struct text *to, crew_bytes host)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   ".-:[]";
	char name[256];
	if (host.len == 0 || host.len >= sizeof(name))
		return;
	memcpy(name, host.data, host.len);
	name[host.len] = '\0';
	if (strspn(name, good) != host.len)
		return;
	put(to, " ws://");
	put(to, name);
	put(to, " wss://");
	put(to, name);
}

int crew__page_policy(crew_bytes page, crew_bytes host, char text[CREW__POLICY_MAX])
{
	struct text to = { text, CREW__POLICY_MAX };
	put(&to, "default-src 'self'; script-src");
	put_hashes(&to, page, "<script>", "</script>");
	put(&to, "; style-src");
	put_hashes(&to, page, "<style>", "</style>");
	put(&to, "; connect-src 'self'");
	put_sockets(&to, host);
	put(&to, "; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
		 "frame-ancestors 'none'");
	return to.left > 0 ? 0 : -ENOSPC;
}

void crew__page(crew_conn *c, const crew_request *request)
{
	const crew_bytes page = { (const char *)dashboard_page, sizeof(dashboard_page) };
	char policy[CREW__POLICY_MAX];
	int error = crew__page_policy(page, request->host, policy);
	if (error)
		error = crew__page_policy(page, (crew_bytes){ NULL, 0 }, policy);
	if (error) {
		crew_reply_error(c, request, 500, "the dashboard has too many scripts");
		return;
	}
	const crew_header fields[] = {
		{ CREW_BYTES("Cache-Control"), CREW_BYTES("no-cache") },
		{ CREW_BYTES("Content-Security-Policy"), crew_str(policy) },
	};
	const crew_response response = {
		.type = "text/html; charset=utf-8",
		.headers = fields,
		.header_count = crew__lengthof(fields),
		.body = page,
	};
	crew_reply(c, &response);
}
