"""The allow-list for source: modules and dotted names that plans and analyses need. Whatever else is used is named."""

WHOLE_MODULES = frozenset(
    {
        "__future__", "abc", "bisect", "calendar", "cmath", "collections", "copy", "csv", "dataclasses", "datetime",
        "decimal", "enum", "fractions", "functools", "heapq", "itertools", "json", "math", "numbers", "operator",
        "pathlib", "random", "re", "statistics", "string", "textwrap", "time", "typing",
        "typing_extensions", "warnings",
        "researcher", "researcher.plan",
        "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.special", "torch.linalg",
        "numpy.random", "numpy.linalg", "numpy.fft", "numpy.ma", "numpy.typing", "numpy.polynomial",
        "pandas.api.types", "pandas.testing",
        "matplotlib.pyplot", "matplotlib.ticker", "matplotlib.dates", "matplotlib.colors", "matplotlib.figure",
        "matplotlib.axes", "seaborn",
        "scipy.stats", "scipy.special", "scipy.optimize", "scipy.linalg", "scipy.signal", "scipy.interpolate",
        "scipy.sparse", "scipy.spatial", "scipy.cluster", "scipy.integrate", "scipy.ndimage",
        "sklearn.base", "sklearn.calibration", "sklearn.cluster", "sklearn.compose", "sklearn.covariance",
        "sklearn.decomposition", "sklearn.discriminant_analysis", "sklearn.dummy", "sklearn.ensemble",
        "sklearn.exceptions", "sklearn.feature_extraction", "sklearn.feature_selection", "sklearn.gaussian_process",
        "sklearn.impute", "sklearn.inspection", "sklearn.isotonic", "sklearn.kernel_approximation",
        "sklearn.kernel_ridge", "sklearn.linear_model", "sklearn.manifold", "sklearn.metrics", "sklearn.mixture",
        "sklearn.model_selection", "sklearn.multiclass", "sklearn.naive_bayes", "sklearn.neighbors",
        "sklearn.neural_network", "sklearn.pipeline", "sklearn.preprocessing", "sklearn.svm", "sklearn.tree",
        "statsmodels.api", "statsmodels.formula.api", "lifelines",
    }
)  # fmt: skip
"""Modules of which every public name is allowed."""

_LISTED = {
    "syft": "resolve_dataset_file_path resolve_dataset_files_path resolve_path",
    "matplotlib": "use rcParams pyplot",
    "sklearn": "set_config __version__",
    "scipy": "__version__",
    "statsmodels": "",
    "torch": """
        Tensor Generator Size bool dtype float float32 float64 int int32 int64 long double
        manual_seed tensor as_tensor zeros zeros_like ones ones_like full full_like empty arange linspace eye rand
        randn randint randperm
        abs acos add all allclose amax amin any argmax argmin argsort asin atan atan2 bmm broadcast_to bucketize cat
        cdist ceil chunk clamp clip clone concat concatenate cos cosh cross cummax cumprod cumsum detach diag diff div
        dot einsum eq erf erfc exp expm1 flatten flip floor fmod gather ge gt hstack index_select inf isfinite isinf
        isnan kron le lerp log log10 log1p log2 logical_and logical_not logical_or logical_xor logsumexp lt masked_fill
        masked_select matmul max maximum mean median min minimum mm movedim mul multiply nan nan_to_num ne neg no_grad
        enable_grad inference_mode norm numel outer permute pi pow prod quantile reciprocal relu
        remainder repeat_interleave
        reshape roll round rsqrt scatter scatter_add searchsorted select selu sigmoid sign sin sinh softmax log_softmax
        sort split sqrt square squeeze stack std sub sum swapaxes t take tan tanh tensordot tile topk transpose tril
        triu true_divide unbind unflatten unfold unique unsqueeze var vstack where set_num_threads is_tensor
    """,
    "numpy": """
        ndarray dtype generic number integer floating bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64
        float16 float32 float64 intp newaxis nan inf pi e random linalg fft ma typing
        abs absolute add all allclose any append apply_along_axis arange arccos arcsin arctan arctan2 argmax argmin
        argpartition argsort argwhere array array_equal array_split asarray astype atleast_1d atleast_2d average
        bincount broadcast_to c_ ceil clip column_stack concatenate convolve copy corrcoef cos cosh count_nonzero cov
        cross cumprod cumsum deg2rad delete diag diff digitize divide divmod dot einsum empty empty_like equal
        errstate exp expand_dims expm1 eye finfo fix flatnonzero flip float_power floor floor_divide fmax fmin full
        full_like geomspace gradient greater greater_equal histogram histogram2d histogramdd
        histogram_bin_edges hstack hypot
        identity iinfo in1d indices inner insert interp intersect1d isclose isfinite isin isinf isnan isnat kron less
        less_equal lexsort linspace log log10 log1p log2 logical_and logical_not logical_or logical_xor logspace
        matmul max maximum mean median meshgrid min minimum mod moveaxis multiply nan_to_num nanmax nanmean nanmedian
        nanmin nanpercentile nanquantile nanstd nansum nanvar ndim negative nonzero not_equal ones ones_like outer pad
        partition percentile piecewise place polyfit polyval power prod ptp put quantile r_ rad2deg ravel reciprocal
        repeat reshape resize rint roll rot90 round s_ searchsorted select set_printoptions setdiff1d setxor1d shape
        sign sin sinh size sort split sqrt square squeeze stack std subtract sum swapaxes take tan tanh tensordot tile
        trace transpose trapezoid tril triu unique union1d unravel_index vander var vectorize vstack
        where zeros zeros_like
        datetime64 timedelta64 isscalar promote_types result_type sqrt
    """,
    "pandas": """
        DataFrame Series Index MultiIndex Categorical CategoricalDtype DatetimeIndex Interval IntervalIndex NA NaT
        NamedAgg Period PeriodIndex RangeIndex Timedelta TimedeltaIndex Timestamp Grouper concat crosstab cut
        date_range factorize from_dummies get_dummies isna isnull melt merge merge_asof notna notnull option_context
        pivot pivot_table qcut read_csv read_json read_parquet set_option timedelta_range to_datetime to_numeric
        to_timedelta unique value_counts wide_to_long api testing Int64Dtype Float64Dtype StringDtype BooleanDtype
    """,
}
LISTED_NAMES = {module: frozenset(names.split()) for module, names in _LISTED.items()}
"""Modules of which these names are allowed, and no others."""

HARMLESS_DUNDERS = frozenset(
    {
        "__init__", "__call__", "__doc__", "__eq__", "__getitem__", "__hash__", "__iter__", "__len__", "__main__",
        "__name__", "__post_init__", "__repr__", "__str__", "__version__", "__enter__", "__exit__", "__lt__", "__add__",
        "__mul__", "__sub__", "__all__", "__next__", "__contains__", "__slots__", "__bool__", "__annotations__",
    }
)  # fmt: skip


def beyond_allowed(name: str) -> tuple[str, ...] | None:
    """The parts of the dotted `name`, as its import resolves it, beyond what is on the list; None if it is not."""
    parts = tuple(name.split("."))
    for depth in range(len(parts), 0, -1):
        if ".".join(parts[:depth]) in WHOLE_MODULES:
            return parts[depth:]
    listed = LISTED_NAMES.get(parts[0])
    if listed is None or (len(parts) > 1 and parts[1] not in listed):
        return None
    return parts[2:]
