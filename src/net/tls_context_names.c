/* tls_context_names.c - which certificates are for the name that a client asks for.
 *
 * The DNS names of subjectAltName, lower-case and sorted: exact ones as they are, `*.example.com`
 * as
 * `.example.com`, which no host is called. So a name is looked for at most twice, however many
 * certificates there are. A star stands for exactly one label, the first (RFC 6125 section 6.4.3).
 */
#include "net/tls_context.h"

#include "net/tls_context_parts.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

struct entry {
	char *text;
	uint32_t place;
};

struct crew__tls_names {
	struct entry *entries; /* sorted by name, then by place */
	uint32_t *places;      /* the places again, in the same order, for who finds */
	size_t count, room;
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->text, b->text);
	return order ? order : (a->place > b->place) - (a->place < b->place);
}

/* False: it cannot be the name of a host, such as one with a NUL in it, or `*` elsewhere. */
static bool normalise(const char *text, size_t length, char to[CREW__TLS_NAME_MOST + 1])
{
	if (length > 1 && text[0] == '*' && text[1] == '.') {
		text++;
		length--;
	}
	if (length == 0 || length > CREW__TLS_NAME_MOST || memchr(text, '\0', length) ||
		memchr(text, '*', length))
		return false;
	for (size_t i = 0; i < length; i++)
		to[i] = lower(text[i]);
	to[length] = '\0';
	return true;
}

static int add(struct crew__tls_names *names, const char *text, uint32_t place)
{
	if (names->count == names->room) {
		size_t room = names->room ? names->room * 2 : 16;
		struct entry *more = reallocarray(names->entries, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		names->entries = more;
		names->room = room;
	}
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	names->entries[names->count].text = copy;
	names->entries[names->count++].place = place;
	return 0;
}

static int add_all(struct crew__tls_names *names, X509 *cert, uint32_t place, size_t *ret_added)
{
	char text[CREW__TLS_NAME_MOST + 1];
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int status = 0;
	for (int i = 0; status == 0 && i < sk_GENERAL_NAME_num(all); i++) {
		int kind;
		const ASN1_STRING *name = GENERAL_NAME_get0_value(
			sk_GENERAL_NAME_value(all, i), &kind);
		if (kind != GEN_DNS)
			continue;
		if (!normalise((const char *)ASN1_STRING_get0_data(name),
			    (size_t)ASN1_STRING_length(name), text))
			continue;
		status = add(names, text, place);
		*ret_added += status == 0;
	}
	GENERAL_NAMES_free(all);
	return status;
}

static int gather(struct crew__tls_names *names, const struct crew__tls_identity *identities,
	size_t count, const struct crew__tls_error *error)
{
	for (size_t i = 0; i < count; i++) {
		size_t added = 0;
		int status = add_all(names, identities[i].cert, (uint32_t)i, &added);
		if (status < 0)
			return status;
		if (added == 0 && i > 0)
			return crew__tls_refuse(error,
				"%s names no host (subjectAltName has no DNS name), so that no client "
				"would ever see it; put it first, or leave it out",
				identities[i].name);
	}
	return 0;
}

int crew__tls_names_new(const struct crew__tls_identity *identities, size_t count,
	struct crew__tls_names **ret_names, const struct crew__tls_error *error)
{
	struct crew__tls_names *names = calloc(1, sizeof(*names));
	int status = names ? gather(names, identities, count, error) : -ENOMEM;
	if (status == 0 && names->count > 0) {
		names->places = calloc(names->count, sizeof(*names->places));
		status = names->places ? 0 : -ENOMEM;
	}
	if (status < 0) {
		crew__tls_names_free(names);
		return status;
	}
	if (names->count > 0)
		qsort(names->entries, names->count, sizeof(*names->entries), compare);
	for (size_t i = 0; names->places && i < names->count; i++)
		names->places[i] = names->entries[i].place;
	*ret_names = names;
	return 0;
}

void crew__tls_names_free(struct crew__tls_names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->count; i++)
		free(names->entries[i].text);
	free(names->entries);
	free(names->places);
	free(names);
}

static size_t find(
	const struct crew__tls_names *names, const char *text, const uint32_t **ret_places)
{
	size_t low = 0, high = names->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(names->entries[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (high = low; high < names->count && strcmp(names->entries[high].text, text) == 0;)
		high++;
	if (high > low)
		*ret_places = &names->places[low];
	return high - low;
}

size_t crew__tls_names_find(
	const struct crew__tls_names *names, const char *host, const uint32_t **ret_places)
{
	char text[CREW__TLS_NAME_MOST + 1];
	size_t length = strlen(host);
	/* A dot at the end says that the name is complete, which it is anyhow. */
	if (length > 0 && host[length - 1] == '.')
		length--;
	if (length == 0 || host[0] == '.' || host[0] == '*' || !normalise(host, length, text))
		return 0;
	size_t found = find(names, text, ret_places);
	const char *rest = strchr(text, '.');
	return found > 0 || !rest ? found : find(names, rest, ret_places);
}
