#include "base/parcel.h"

#include <string.h>

/* What stands before each value. */
struct label {
	uint16_t tag;
	uint16_t reserved;
	uint32_t length;
};

void crew__parcel_init(struct crew__parcel *parcel, size_t max)
{
	crew__buf_init(&parcel->bytes, max);
	parcel->error = 0;
}

void crew__parcel_fini(struct crew__parcel *parcel)
{
	crew__buf_release(&parcel->bytes);
}

void crew__parcel_put(struct crew__parcel *parcel, uint16_t tag, crew_bytes value)
{
	struct label label = { .tag = tag, .length = (uint32_t)value.len };
	if (parcel->error == 0 && value.len > INT32_MAX)
		parcel->error = -ENOBUFS;
	if (parcel->error == 0)
		parcel->error = crew__buf_reserve(&parcel->bytes, sizeof(label) + value.len);
	if (parcel->error != 0)
		return;
	crew__buf_append(&parcel->bytes, &label, sizeof(label));
	if (value.len > 0)
		crew__buf_append(&parcel->bytes, value.data, value.len);
}

void crew__parcel_number(struct crew__parcel *parcel, uint16_t tag, uint64_t value)
{
	crew__parcel_put(parcel, tag, (crew_bytes){ (const char *)&value, sizeof(value) });
}

int crew__parcel_next(crew_bytes *left, struct crew__parcel_item *ret_item)
{
	struct label label;
	if (left->len == 0)
		return 0;
	if (left->len < sizeof(label))
		return -EPROTO;
	memcpy(&label, left->data, sizeof(label));
	if (label.length > left->len - sizeof(label))
		return -EPROTO;
	ret_item->tag = label.tag;
	ret_item->value = (crew_bytes){ left->data + sizeof(label), label.length };
	left->data += sizeof(label) + label.length;
	left->len -= sizeof(label) + label.length;
	return 1;
}

bool crew__parcel_is_number(
	const struct crew__parcel_item *item, uint64_t most, uint64_t *ret_number)
{
	uint64_t number;
	if (item->value.len != sizeof(number))
		return false;
	memcpy(&number, item->value.data, sizeof(number));
	if (number > most)
		return false;
	*ret_number = number;
	return true;
}
