/* table3.c - table2.c, but it does not want to become a master. */
#define VARIANT 3
#define UNWILLING
#include "table.c"
