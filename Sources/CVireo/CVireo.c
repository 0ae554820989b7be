#include "vireo.h"
