/* connect_tls.c - what TLS to the outside is made from: the authorities we trust and our own
 * certificate, read once for all connections that say the same of it.
 *
 * Files that have changed since are read anew by the next connection: a certificate that is renewed
 * while the program runs is taken without a restart. */
#include "service/connect_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	CONTEXTS_MOST = 64, /* of different options; beyond, the oldest gives way */
	FILES = 3
};

/* Which file it was, as far as that can be told without reading it. */
struct identity {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct crew__client_tls {
	struct crew__client_tls *next;
	struct crew__tls_context *context;
	char *files[FILES]; /* authorities, certificate, key; NULL: none */
	char *alpn;
	struct identity identities[FILES];
	bool insecure;
};

static struct identity identity_of(const char *file)
{
	struct identity identity;
	struct stat found;
	memset(&identity, 0, sizeof(identity)); /* it is compared byte by byte */
	if (!file || stat(file, &found) < 0)
		return identity;
	identity.device = found.st_dev;
	identity.inode = found.st_ino;
	identity.size = found.st_size;
	identity.modified = found.st_mtim;
	identity.changed = found.st_ctim;
	return identity;
}

static bool same(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void free_one(struct crew__client_tls *t)
{
	crew__tls_context_unref(t->context);
	for (int i = 0; i < FILES; i++)
		free(t->files[i]);
	free(t->alpn);
	free(t);
}

/* What the options say, with the files as they are now. */
struct wanted {
	struct crew__tls_client_plan plan;
	const char *files[FILES];
	struct identity identities[FILES];
};

static void want(const struct crew__connect_plan *plan, struct wanted *wanted)
{
	const crew_connect_options *o = &plan->options;
	const char *usual = plan->kind == CREW__WS ? "http/1.1" : NULL;
	*wanted = (struct wanted){
		.plan = {
			.ca_file = o->tls_ca,
			.cert_file = o->tls_cert,
			.key_file = o->tls_key,
			.alpn = o->tls_alpn ? o->tls_alpn : usual,
			.insecure = o->tls_insecure,
		},
		.files = { o->tls_ca, o->tls_cert, o->tls_key },
	};
	for (int i = 0; i < FILES; i++)
		wanted->identities[i] = identity_of(wanted->files[i]);
}

static bool says_the_same(const struct crew__client_tls *t, const struct wanted *wanted)
{
	for (int i = 0; i < FILES; i++)
		if (!same(t->files[i], wanted->files[i]))
			return false;
	return same(t->alpn, wanted->plan.alpn) && t->insecure == wanted->plan.insecure;
}

static bool keep(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return *to || !text;
}

static int new_one(
	const struct wanted *wanted, struct crew__client_tls **ret, char *ret_error, size_t size)
{
	struct crew__client_tls *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->insecure = wanted->plan.insecure;
	bool kept = keep(&t->alpn, wanted->plan.alpn);
	for (int i = 0; i < FILES; i++) {
		kept = keep(&t->files[i], wanted->files[i]) && kept;
		t->identities[i] = wanted->identities[i];
	}
	int error = kept ? crew__tls_client_new(&wanted->plan, &t->context, ret_error, size)
			 : -ENOMEM;
	if (error) {
		free_one(t);
		return error;
	}
	*ret = t;
	return 0;
}

/* Those that say the same of files that are others now, or the oldest when they are too many. */
static void make_room(struct crew__outgoing *o, const struct wanted *wanted)
{
	struct crew__client_tls **at = &o->contexts;
	while (*at) {
		bool oldest = !(*at)->next && o->context_count >= CONTEXTS_MOST;
		if (!oldest && !says_the_same(*at, wanted)) {
			at = &(*at)->next;
			continue;
		}
		struct crew__client_tls *gone = *at;
		*at = gone->next;
		o->context_count--;
		free_one(gone);
	}
}

int crew__client_tls_get(struct crew__outgoing *o, const struct crew__connect_plan *plan,
	struct crew__tls_context **ret_context, char *ret_error, size_t error_size)
{
	struct wanted wanted;
	want(plan, &wanted);
	struct crew__client_tls *t = o->contexts;
	while (t && !(says_the_same(t, &wanted) &&
			    memcmp(t->identities, wanted.identities, sizeof(t->identities)) == 0))
		t = t->next;
	if (!t) {
		int error = new_one(&wanted, &t, ret_error, error_size);
		if (error)
			return error;
		make_room(o, &wanted);
		t->next = o->contexts;
		o->contexts = t;
		o->context_count++;
	}
	*ret_context = crew__tls_context_ref(t->context);
	return 0;
}

void crew__client_tls_free(struct crew__outgoing *o)
{
	while (o->contexts) {
		struct crew__client_tls *t = o->contexts;
		o->contexts = t->next;
		free_one(t);
	}
	o->context_count = 0;
}
