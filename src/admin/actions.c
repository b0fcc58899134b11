/* actions.c - who may act, and whom a kick means. */
#include "admin/actions.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool crew__token_shown(crew_bytes field, const char *token)
{
	static const char scheme[] = "Bearer ";
	unsigned char shown[SHA256_DIGEST_LENGTH], right[SHA256_DIGEST_LENGTH];
	size_t length = sizeof(scheme) - 1;
	if (field.len <= length || strncasecmp(field.data, scheme, length) != 0)
		return false;
	while (length < field.len && field.data[length] == ' ')
		length++;
	/* Of equal length whatever they are. */
	SHA256((const unsigned char *)field.data + length, field.len - length, shown);
	SHA256((const unsigned char *)token, strlen(token), right);
	return CRYPTO_memcmp(shown, right, sizeof(right)) == 0;
}

static bool is_meant(const struct crew__connection *row, const char *prefix, const char *verdict)
{
	if (prefix)
		return crew__id_has_prefix(row->id, prefix);
	return row->verdict && strcmp(row->verdict, verdict) == 0;
}

static int compare_ids(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;
	return *a < *b ? -1 : *a > *b;
}

static int init(struct crew__kick_list *list, size_t room)
{
	list->count = 0;
	list->ids = calloc(room + 1, sizeof(*list->ids));
	return list->ids ? 0 : -ENOMEM;
}

int crew__kick_choose(const struct crew__connections *connections, const char *prefix,
	const char *verdict, struct crew__kick_list *ret_list)
{
	if (init(ret_list, connections->count))
		return -ENOMEM;
	for (size_t i = 0; i < connections->count; i++)
		if (is_meant(&connections->rows[i], prefix, verdict))
			ret_list->ids[ret_list->count++] = connections->rows[i].id;
	qsort(ret_list->ids, ret_list->count, sizeof(*ret_list->ids), compare_ids);
	return 0;
}

int crew__kick_left(const struct crew__kick_list *list, const struct crew__connections *connections,
	struct crew__kick_list *ret_left)
{
	if (init(ret_left, list->count))
		return -ENOMEM;
	for (size_t i = 0; i < connections->count && ret_left->count < list->count; i++)
		if (bsearch(&connections->rows[i].id, list->ids, list->count, sizeof(*list->ids),
			    compare_ids))
			ret_left->ids[ret_left->count++] = connections->rows[i].id;
	return 0;
}
